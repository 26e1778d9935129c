// A part of a page that keeps itself up to date: `#live` with `data-poll`, the address of
// {"state", "text": {key: text}, "done", "people"}. It shows what has `data-when` with that state, writes the texts, and
// moves the progress; what has `data-optional` with the key of a text is hidden while that is empty. Nothing of this
// lengthens the session.
//
// `data-awaits`: states that somebody's press has led to. When one of them is over, the page is opened anew, once, at
// `data-then`: what came of it has more to it than a line. Not while something is typed in a form.

const SOONEST = 3000;
const LATEST = 15_000;
const live = document.getElementById("live");
let typed = false;
let wait = SOONEST; // longer and longer while nothing changes
let before = "";

function show({ state, text, done, people }) {
  live.dataset.state = state;
  for (const each of live.querySelectorAll("[data-when]")) each.hidden = !each.dataset.when.split(" ").includes(state);
  for (const [key, said] of Object.entries(text)) {
    for (const each of live.querySelectorAll(`[data-text="${CSS.escape(key)}"]`)) {
      if (each.textContent !== said) each.textContent = said;
    }
    for (const each of live.querySelectorAll(`[data-optional="${CSS.escape(key)}"]`)) each.hidden = !said;
  }
  const progress = live.querySelector("progress");
  if (progress && people) {
    progress.max = people;
    progress.value = done;
  }
}

async function look() {
  if (document.visibilityState === "visible") {
    try {
      const answer = await fetch(live.dataset.poll, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return; // signed out meanwhile: the page says so at the next click
      const said = await answer.text();
      wait = said === before ? Math.min(wait * 1.2, LATEST) : SOONEST;
      before = said;
      const now = JSON.parse(said);
      const awaited = (live.dataset.awaits ?? "").split(" ");
      if (!typed && awaited.includes(live.dataset.state) && !awaited.includes(now.state)) {
        window.location.replace(live.dataset.then);
        return;
      }
      show(now);
    } catch {
      // the network is away for a moment
    }
  }
  setTimeout(look, wait);
}

if (live) {
  document.addEventListener("input", () => { typed = true; });
  setTimeout(look, wait);
}
