// Shows every <time datetime> in the reader's own zone, with UTC on hover, also those that appear later.
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const local = (iso, seconds) => {
    const d = new Date(iso);
    if (isNaN(d)) return iso;
    const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    return `${day} ${two(d.getHours())}:${two(d.getMinutes())}` + (seconds ? `:${two(d.getSeconds())}` : "");
  };
  window.gsTime = (iso) => (iso ? local(iso, true) : "");
  const show = (element) => {
    const iso = element.getAttribute("datetime");
    if (!iso || element.dataset.shown === iso) return;
    element.dataset.shown = iso;
    element.textContent = local(iso, !element.classList.contains("short"));
    element.title = iso.replace("T", " ").replace(/(\.\d+)?(\+00:00|Z)$/, "") + " UTC";
  };
  const showAll = () => document.querySelectorAll("time[datetime]").forEach(show);
  new MutationObserver(showAll).observe(document.documentElement, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["datetime"],
  });
  document.addEventListener("DOMContentLoaded", showAll);
})();
