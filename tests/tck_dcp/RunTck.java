// Runs the kit's test cases of the packages named, prints its own counts, and exits with 1 where one failed.
// Usage: java -cp 'lib/*' RunTck.java dcp.properties package...

import java.io.FileReader;
import java.util.HashMap;
import java.util.Properties;
import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.dcp.system.DcpSystemLauncher;
import org.eclipse.dataspacetck.runtime.TckRuntime;

public class RunTck {
  public static void main(String[] arguments) throws Exception {
    var file = new Properties();
    try (var reader = new FileReader(arguments[0])) {
      file.load(reader);
    }
    var properties = new HashMap<String, String>();
    file.forEach((key, value) -> properties.put(key.toString(), value.toString()));
    var runtime = TckRuntime.Builder.newInstance()
        .properties(properties)
        .launcher(DcpSystemLauncher.class)
        .monitor(new ConsoleMonitor(true, false));
    for (int index = 1; index < arguments.length; index++) {
      runtime.addPackage(arguments[index]);
    }
    var summary = runtime.build().execute();
    summary.getFailures().forEach(failure -> System.out.println("FAILED "
        + failure.getTestIdentifier().getDisplayName() + " :: "
        + String.valueOf(failure.getException()).lines().findFirst().orElse("")));
    System.out.printf("found=%d started=%d succeeded=%d failed=%d skipped=%d%n",
        summary.getTestsFoundCount(), summary.getTestsStartedCount(), summary.getTestsSucceededCount(),
        summary.getTestsFailedCount(), summary.getTestsSkippedCount());
    System.exit(summary.getTestsFailedCount() == 0 && summary.getTestsSucceededCount() > 0 ? 0 : 1);
  }
}
