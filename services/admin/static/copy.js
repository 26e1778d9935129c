// Buttons that copy what stands beside them. Without scripts they are not there, and people mark and copy themselves.

const said = document.getElementById("copied");

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    said.textContent = said.dataset.done;
  } catch {
    said.textContent = said.dataset.failed;
  }
  said.classList.remove("visually-hidden");
  setTimeout(() => {
    said.textContent = "";
    said.classList.add("visually-hidden");
  }, 4000);
}

if (navigator.clipboard && said) {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button));
  }
}
