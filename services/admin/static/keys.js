// The page of the signing keys looks again while a step waits for confirmation. Without scripts there is a link.

const EVERY = 2000;
const live = document.getElementById("live");

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(live.dataset.poll, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return; // signed out meanwhile: the page says so at the next click
      const { version, waiting } = await answer.json();
      if (!waiting || String(version) !== live.dataset.version) return location.reload();
    } catch {
      // the network is away for a moment
    }
  }
  setTimeout(look, EVERY);
}

if (live && "waiting" in live.dataset) setTimeout(look, EVERY);
