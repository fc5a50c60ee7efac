// Runs once when the page is loaded; returns the case that the address names.
() => {
  addEventListener("popstate", () => location.reload());
  // Before Gradio's own listeners, so that an action that is not confirmed never reaches them.
  addEventListener("click", (event) => {
    const item = event.target.closest("[data-do], #reject");
    if (!item || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const question = item.id === "reject"
      ? "Reject? The case is closed, and the sender gets no reply." : item.dataset.confirm;
    const refused = question && !confirm(question);
    if (item.id === "reject" && !refused) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (refused) return;
    if (item.dataset.do === "open") {
      history.pushState(null, "", item.href);
      scrollTo(0, 0);
    }
    // `at` makes a second click on the same button another value.
    const box = document.querySelector("#action textarea");
    box.value = JSON.stringify({...item.dataset, at: Date.now()});
    box.dispatchEvent(new Event("input"));
  }, true);
  return new URLSearchParams(location.search).get("case") ?? "";
}
