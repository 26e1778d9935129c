"use strict";
// Post the token to Microsoft, once. Back must never post it again. The page's own button does the same where this does
// not run, so it is hidden only after everything here has worked.

const form = document.getElementById("token");
const [navigation] = performance.getEntriesByType("navigation");

if (navigation && navigation.type === "back_forward") {
  window.location.replace(form.dataset.back);
} else {
  // From here on this place in the history is our own page, which says "finished".
  window.history.replaceState(null, "", form.dataset.back);
  form.submit();
  // The person is signed in now: what waits in other tabs of this browser goes on by itself.
  if (window.BroadcastChannel) new BroadcastChannel("blok365-signin").postMessage("signed in");
}
form.querySelector("button").hidden = true;
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.replace(form.dataset.back);
});
