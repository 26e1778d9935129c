// The front page's state: what /readyz says, asked again every five seconds while somebody looks.

const EVERY = 5_000;

const summary = document.getElementById("summary");
const checks = document.getElementById("checks");
const words = document.getElementById("words").content;
const word = (key) => words.querySelector(`[data-word="${key}"]`).textContent;

/** `{ready, checks}`, or the word for why there is nothing. The proxy of a public system keeps it to itself (404). */
async function ask() {
  try {
    const answer = await fetch("/readyz", { headers: { Accept: "application/json" } });
    return answer.status === 404 ? "untold" : await answer.json();
  } catch {
    return "silent";
  }
}

function row(name, check) {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = name;
  value.textContent = typeof check === "string" ? check : word(check ? "good" : "bad");
  if (check === false) value.dataset.bad = "";
  return [term, value];
}

function show(state) {
  const told = typeof state === "object";
  summary.textContent = word(told ? (state.ready ? "ready" : "not_ready") : state);
  checks.hidden = !told;
  checks.replaceChildren(...Object.entries(told ? state.checks : {}).flatMap(([name, check]) => row(name, check)));
}

async function look() {
  if (document.visibilityState === "visible") show(await ask());
  setTimeout(look, EVERY);
}

look();
