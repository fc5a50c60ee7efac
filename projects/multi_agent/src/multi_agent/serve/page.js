// Runs once when the page is loaded; returns the run that the address names.
() => {
  const address = () => new URLSearchParams(location.search).get("run") ?? "";
  const field = (id) => document.querySelector(`#${id} textarea, #${id} input`);
  const fill = (box, text) => {
    box.value = text;
    box.dispatchEvent(new Event("input"));
  };
  // `at` makes a second click on the same button another value.
  const send = (item) => fill(field("action"), JSON.stringify({key: "", ...item, at: Date.now()}));

  // The address of the run on the page; its task leaves the box.
  window.showRun = (run) => {
    const box = field("task");
    if (box?.dataset.sent && box.value === box.dataset.sent) fill(box, "");
    if (box) delete box.dataset.sent;
    if (run === address()) return;
    history.pushState(null, "", run ? `?run=${encodeURIComponent(run)}` : location.pathname);
    scrollTo(0, 0);
  };
  addEventListener("popstate", () => send({do: "open", key: address(), text: ""}));

  const act = (item) => {
    if (item.dataset.confirm && !confirm(item.dataset.confirm)) return;
    let text = item.dataset.text ?? "";
    if (item.dataset.do === "start" && !text) {
      text = field("task").value;
      field("task").dataset.sent = text;
    } else if (!text) {
      text = item.closest(".fields")?.querySelector("input, textarea")?.value ?? "";
    }
    send({do: item.dataset.do, key: item.dataset.key ?? "", text});
  };
  let last = {};
  // Before Gradio's own listeners, which would see another click.
  addEventListener("click", (event) => {
    const item = event.target.closest("[data-do]");
    if (!item || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    // A double click starts one run.
    if (last.item === item && event.timeStamp - last.at < 400) return;
    last = {item, at: event.timeStamp};
    act(item);
  }, true);
  addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    const form = event.target.closest("input")?.closest(".fields");
    const button = event.target.closest("#task")
      ? document.querySelector("#ask [data-do=start]") : form?.querySelector(".row [data-do]");
    if (!button) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    act(button);
  }, true);
  return address();
}
