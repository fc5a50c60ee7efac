// Draws a box on the picture for each button that has a place on it. Selecting either one marks
// both, and scrolls the other into view inside its own frame.
() => {
  let picture;
  const draw = () => {
    const images = document.querySelectorAll("#picture img");
    document.querySelectorAll("#picture .box").forEach((box) => box.remove());
    document.querySelectorAll("#right [data-box]").forEach((button) => {
      const image = images[button.dataset.page - 1];
      if (!image) return;
      const [left, top, right, bottom] = button.dataset.box.split(" ");
      const x = 100 / image.getAttribute("width"), y = 100 / image.getAttribute("height");
      const box = document.createElement("span");
      box.className = `box ${button.dataset.mark.split("-")[0]} ${button.className}`;
      box.dataset.mark = button.dataset.mark;
      box.title = button.title;
      box.style.cssText = `left: ${left * x}%; top: ${top * y}%; ` +
        `width: ${(right - left) * x}%; height: ${(bottom - top) * y}%`;
      image.parentElement.append(box);
    });
    // Where the results are below the input, scroll to a new picture.
    if (images[0] && images[0].src !== picture && innerWidth <= 800)
      document.querySelector("#columns").scrollIntoView({behavior: "smooth"});
    picture = images[0]?.src;
    observer.takeRecords();  // of the boxes
  };
  const observer = new MutationObserver(draw);
  observer.observe(document.body, {childList: true, subtree: true});

  document.addEventListener("click", (event) => {
    const source = event.target.closest("[data-mark]");
    if (!source) return;
    document.querySelectorAll(".lit").forEach((element) => element.classList.remove("lit"));
    document.querySelectorAll(`[data-mark="${source.dataset.mark}"]`).forEach((element) => {
      element.classList.add("lit");
      const frame = element.closest(".frame");
      if (element === source) return;
      if (!frame) return element.scrollIntoView({block: "nearest", behavior: "smooth"});
      const inner = element.getBoundingClientRect(), outer = frame.getBoundingClientRect();
      const top = frame.scrollTop + inner.top - outer.top - (outer.height - inner.height) / 2;
      frame.scrollTo({top, behavior: "smooth"});
    });
  });
}
