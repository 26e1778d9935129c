// Buttons that copy what stands beside them. Without scripts they are not there, and people mark and copy themselves.

const FOR = 3000;
const said = document.getElementById("copied");

/** The button itself says so to whoever looks at it, and the status line to whoever listens. */
function show(button, text) {
  const label = button.firstChild;
  label.data = text;
  said.textContent = text;
  setTimeout(() => {
    label.data = button.dataset.label;
    said.textContent = "";
  }, FOR);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    show(button, said.dataset.done);
  } catch {
    show(button, said.dataset.failed);
  }
}

if (navigator.clipboard && said) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.dataset.label = button.firstChild.data;
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}
