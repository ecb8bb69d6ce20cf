// Runs the kit's test cases, prints its own counts, and exits with 1 where one failed: the kit's main class does not.
// Usage: java -cp 'lib/*' RunTck.java dsp.properties [prefix of display names]

import java.io.FileReader;
import java.util.HashMap;
import java.util.Properties;
import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.dsp.system.DspSystemLauncher;
import org.eclipse.dataspacetck.runtime.TckRuntime;

public class RunTck {
  public static void main(String[] arguments) throws Exception {
    var file = new Properties();
    try (var reader = new FileReader(arguments[0])) {
      file.load(reader);
    }
    var properties = new HashMap<String, String>();
    file.forEach((key, value) -> properties.put(key.toString(), value.toString()));
    String prefix = arguments.length > 1 ? arguments[1] : "";
    var summary = TckRuntime.Builder.newInstance()
        .properties(properties)
        .launcher(DspSystemLauncher.class)
        .addPackage("org.eclipse.dataspacetck.dsp.verification")
        .monitor(new ConsoleMonitor(true, false))
        .displayNameMatching(name -> name.startsWith(prefix))
        .build()
        .execute();
    summary.getFailures().forEach(failure -> System.out.println(
        "FAILED " + failure.getTestIdentifier().getDisplayName() + " :: " + failure.getException()));
    System.out.printf("found=%d started=%d succeeded=%d failed=%d skipped=%d%n",
        summary.getTestsFoundCount(), summary.getTestsStartedCount(), summary.getTestsSucceededCount(),
        summary.getTestsFailedCount(), summary.getTestsSkippedCount());
    System.exit(summary.getTestsFailedCount() == 0 && summary.getTestsSucceededCount() > 0 ? 0 : 1);
  }
}
