// A domain's page shows by itself when its first request comes and when the first person has signed in.

const EVERY = 5000;
const live = document.getElementById("live");

function show(state) {
  live.dataset.state = state;
  for (const each of live.querySelectorAll("[data-when]")) each.hidden = each.dataset.when !== state;
}

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(live.dataset.poll, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return; // signed out meanwhile: the page says so at the next click
      const { state } = await answer.json();
      if (state !== live.dataset.state) show(state);
      if (state === "signed_in") return;
    } catch {
      // the network is away for a moment
    }
  }
  setTimeout(look, EVERY);
}

if (live && live.dataset.state !== "signed_in") setTimeout(look, EVERY);
