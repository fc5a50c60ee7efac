// Elements with the same `data-mark` are a box on the picture and the words that it belongs to.
// Selecting either one marks both, and scrolls the other into view inside its own frame.
() => document.addEventListener("click", (event) => {
  const source = event.target.closest("[data-mark]");
  if (!source) return;
  const marked = (mark) => document.querySelectorAll(`[data-mark="${CSS.escape(mark)}"]`);
  document.querySelectorAll(".lit").forEach((element) => element.classList.remove("lit"));
  marked(source.dataset.mark).forEach((element) => {
    element.classList.add("lit");
    const frame = element.closest(".frame");
    if (element === source) return;
    if (!frame) return element.scrollIntoView({block: "nearest", behavior: "smooth"});
    const inner = element.getBoundingClientRect(), outer = frame.getBoundingClientRect();
    const top = frame.scrollTop + inner.top - outer.top - (outer.height - inner.height) / 2;
    frame.scrollTo({top, behavior: "smooth"});
  });
})
