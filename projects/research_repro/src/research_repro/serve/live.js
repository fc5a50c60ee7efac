// Sends what the buttons are for, and updates the progress of a run every two seconds.
const panel = document.querySelector("[data-state]");
const send = async (url, options) => {
  const response = await fetch(url, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.error.message);
  return body;
};
document.addEventListener("click", async ({ target }) => {
  const { method, body } = target.dataset;
  if (!method) return;
  target.disabled = true;
  try {
    await send(method === "DELETE" ? "/api/runs/current" : "/api/runs", { method, headers: { "content-type": "application/json" }, body });
    location.reload();
  } catch (error) {
    alert(error.message);
    target.disabled = false;
  }
});
const update = async () => {
  try {
    const run = await send("/api/runs");
    if (run?.state !== "running") return location.reload();
    panel.querySelector("#text").textContent = run.text;
    panel.querySelector("progress").value = run.share;
    panel.querySelector("#error").textContent = run.error;
  } catch {
    panel.querySelector("#text").textContent = "The server does not respond.";
  }
  setTimeout(update, 2000);
};
if (panel?.dataset.state === "running") setTimeout(update, 2000);
