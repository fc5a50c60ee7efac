// Shows who is signed in on a page of this server, and a way back once the session has expired.
const bar = document.createElement("div");
bar.id = "sign-in";
bar.setAttribute("role", "status");
Object.assign(bar.style, {
  display: "flex", justifyContent: "flex-end", gap: "0.75rem", flexWrap: "wrap",
  padding: "0.4rem 1rem", font: "0.9rem/1.5 system-ui, sans-serif",
});

function show(text, label, href) {
  const link = document.createElement("a");
  Object.assign(link, { href, textContent: label });
  Object.assign(link.style, { color: "inherit", textDecoration: "underline" });
  bar.replaceChildren(text, ...(label ? [link] : []));
  document.body.prepend(bar);
}

/** Say that the session has expired, with a link that leads back to this page. */
export function showSignIn() {
  const here = encodeURIComponent(location.pathname + location.search);
  show("Your session has expired.", "Sign in again", `/auth/login?next=${here}`);
}

/** Watch all requests of a page for an expired session. */
export function watchSession() {
  const fetchHere = window.fetch;
  window.fetch = async (...request) => {
    const response = await fetchHere(...request);
    if (response.status === 401) showSignIn();
    return response;
  };
}

fetch("/auth/me").then(async (response) => {
  if (!response.ok) return; // a server without sign-in
  const me = await response.json();
  show(me.name, me.can_sign_out && "Sign out", "/auth/logout");
});
