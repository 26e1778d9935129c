// The forms that a passkey answers: the device signs, the script fills the hidden fields and posts the form. The server
// answers with a page. Words are the page's; here is only what happens.

const isSupported = () => Boolean(window.PublicKeyCredential && navigator.credentials);
const secretKey = `secret ${window.location.pathname}`;

function toBase64url(octets) {
  const text = String.fromCharCode(...new Uint8Array(octets));
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

const fromBase64url = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

const credentials = (form) =>
  (form.dataset.credentials || "")
    .split(" ")
    .filter(Boolean)
    .map((id) => ({ type: "public-key", id: fromBase64url(id) }));

/** A key that the device keeps by itself, with its user verified: it signs in without a name being typed. */
const creation = (form) => ({
  challenge: fromBase64url(form.dataset.challenge),
  rp: { id: form.dataset.rpId, name: "Blok365" },
  user: { id: fromBase64url(form.dataset.user), name: form.dataset.email, displayName: form.dataset.email },
  pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
  authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
  excludeCredentials: credentials(form),
  attestation: "none",
});

const request = (form) => ({
  challenge: fromBase64url(form.dataset.challenge),
  rpId: form.dataset.rpId,
  allowCredentials: credentials(form),
  userVerification: "required",
});

function say(form, which) {
  for (const each of form.querySelectorAll("[data-said]")) each.hidden = each.dataset.said !== which;
  const shown = form.querySelector(`[data-said="${which}"]`);
  document.getElementById("status").textContent = shown ? shown.textContent : "";
}

async function ask(form) {
  if (form.dataset.passkey === "create") {
    const made = await navigator.credentials.create({ publicKey: creation(form) });
    return {
      credential_id: made.rawId,
      client_data_json: made.response.clientDataJSON,
      attestation_object: made.response.attestationObject,
    };
  }
  const made = await navigator.credentials.get({ publicKey: request(form) });
  return {
    credential_id: made.rawId,
    client_data_json: made.response.clientDataJSON,
    authenticator_data: made.response.authenticatorData,
    signature: made.response.signature,
  };
}

async function answer(form, button) {
  button.setAttribute("aria-disabled", "true");
  say(form, "asking");
  try {
    const fields = await ask(form);
    for (const [name, octets] of Object.entries(fields)) form.elements[name].value = toBase64url(octets);
  } catch (error) {
    say(form, error.name === "InvalidStateError" ? "known" : "stopped");
    button.removeAttribute("aria-disabled");
    return;
  }
  form.submit();
}

/**
 * The secret of a one-time link: from the fragment, which no server sees, out of the address bar and into this tab's
 * storage, so that a page that was refused and drawn again still has it.
 */
function linkSecret() {
  const given = window.location.hash.slice(1);
  if (given) {
    window.sessionStorage.setItem(secretKey, given);
    window.history.replaceState(null, "", window.location.pathname);
  }
  return window.sessionStorage.getItem(secretKey) || "";
}

const withSecret = [...document.querySelectorAll("input[name=secret]")];
if (withSecret.length) {
  const secret = linkSecret();
  for (const field of withSecret) field.value = secret;
  if (!secret) {
    document.getElementById("incomplete").hidden = false;
    for (const field of withSecret) field.form.querySelector("button").hidden = true;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const button = form.querySelector("button");
  if (!isSupported()) {
    say(form, "missing");
    button.hidden = true;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") !== "true") answer(form, button);
  });
}

const summary = document.getElementById("summary");
if (summary) summary.focus();
