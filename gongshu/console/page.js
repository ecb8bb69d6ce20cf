// Shows every <time datetime> in the reader's own zone, with UTC on hover, and fits charts; also those that appear later.
// Lets the second click of a double click do nothing, and says in Chinese that the connection is lost.
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const local = (iso, seconds) => {
    const d = new Date(iso);
    if (isNaN(d)) return iso;
    const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    return `${day} ${two(d.getHours())}:${two(d.getMinutes())}` + (seconds ? `:${two(d.getSeconds())}` : "");
  };
  const show = (element) => {
    const iso = element.getAttribute("datetime");
    if (!iso || element.dataset.shown === iso) return;
    element.dataset.shown = iso;
    element.textContent = local(iso, !element.classList.contains("short"));
    element.title = iso.replace("T", " ").replace(/(\.\d+)?(\+00:00|Z)$/, "") + " UTC";
  };

  // A chart that was made before the page had its layout keeps a width of 100 pixels: fit it once it has one.
  const fit = async (element) => {
    const { echarts } = await import("nicegui-echart");
    const chart = echarts.getInstanceByDom(element);
    if (chart && element.offsetWidth && chart.getWidth() !== element.offsetWidth) chart.resize();
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
  const watched = new WeakSet();
  const watch = (element) => {
    if (watched.has(element)) return;
    watched.add(element);
    sizes.observe(element);
    for (const wait of [50, 250, 1000]) setTimeout(() => element.isConnected && fit(element), wait);
  };
  const showAll = () => {
    document.querySelectorAll("time[datetime]").forEach(show);
    document.querySelectorAll(".nicegui-echart").forEach(watch);
  };
  new MutationObserver(showAll).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["datetime"],
  });
  document.addEventListener("DOMContentLoaded", showAll);

  // A button acts once: two contracts, or two uses, are not what a double click means. Turning pages stays quick.
  const once = (event) => {
    const button = event.target.closest?.(".q-btn");
    if (event.detail < 2 || !button || button.closest(".q-table__bottom") || button.matches(".q-btn--dense")) return;
    event.stopImmediatePropagation();
    event.preventDefault();
  };
  document.addEventListener("click", once, true);

  document.addEventListener("DOMContentLoaded", () => {
    if (!document.documentElement.lang.startsWith("zh")) return;
    const lines = document.querySelectorAll("#popup > span");
    ["连接已断开。", "正在重新连接……"].forEach((words, place) => lines[place] && (lines[place].textContent = words));
  });
})();
