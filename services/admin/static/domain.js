// A domain's page shows by itself when its first request comes and when the first person has signed in.

const EVERY = 5000;
const live = document.getElementById("live");

/** `firsts`: of `request` and `sign_in`, the time in UTC or null. */
function show(state, firsts) {
  live.dataset.state = state;
  for (const [name, at] of Object.entries(firsts)) {
    if (!at) continue;
    for (const each of live.querySelectorAll(`[data-first="${name}"]`)) each.hidden = false;
    const time = live.querySelector(`[data-first="${name}"] time`);
    time.dateTime = at;
    time.dispatchEvent(new Event("dated", { bubbles: true })); // console.js writes it as it does all others
  }
  for (const each of live.querySelectorAll("[data-when]")) each.hidden = each.dataset.when !== state;
}

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(live.dataset.poll, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return; // signed out meanwhile: the page says so at the next click
      const { state, ...firsts } = await answer.json();
      if (state !== live.dataset.state) show(state, firsts);
      if (state === "signed_in") return;
    } catch {
      // the network is away for a moment
    }
  }
  setTimeout(look, EVERY);
}

if (live && live.dataset.state !== "signed_in") setTimeout(look, EVERY);
