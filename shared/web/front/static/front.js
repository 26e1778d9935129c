// The front page: the first sign-in where `make run` leads to it, and the state that /readyz says. Both are asked again
// while somebody looks.

const EVERY = 5_000;
const WALK_EVERY = 1_000;
const GONE = Symbol("gone");

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

// The first sign-in. Only `make run` answers; elsewhere its section stays hidden.

const walk = document.getElementById("walk");
const part = (id) => document.getElementById(`walk-${id}`);

/** How far it is; `GONE` where nobody leads (404), or Ada was renamed or removed; null while there is no answer. */
async function askWalk() {
  try {
    const answer = await fetch("/walk/state", { headers: { Accept: "application/json" } });
    if (answer.status === 404) return GONE;
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

function showWalk(now) {
  walk.hidden = false;
  part("phone").dataset.state = now.phones.length ? "done" : "todo";
  part("sign-in").dataset.state = now.signed_in ? "done" : "todo";
  part("phones").textContent = now.phones.join(", ");
  part("open").href = now.phone;
  part("start").href = now.sign_in;
  part("enrol").textContent = now.enrol;
  part("approve").textContent = now.approve ?? "";
  part("software").hidden = now.approve === null;
}

async function lookWalk() {
  if (document.visibilityState === "visible") {
    const now = await askWalk();
    if (now === GONE) {
      walk.hidden = true;
      return;
    }
    if (now) showWalk(now);
    else if (walk.hidden) return; // nobody leads here
  }
  setTimeout(lookWalk, WALK_EVERY);
}

part("give").addEventListener("click", async () => {
  part("failed").hidden = true;
  try {
    const answer = await fetch("/walk/phone", { method: "POST", headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.statusText);
    window.open((await answer.json()).link, "_blank", "noopener");
  } catch {
    part("failed").hidden = false;
  }
});

lookWalk();
