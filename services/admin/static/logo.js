// The logo: this browser decodes the file, scales the picture down, and sends bare pixels. No server of ours decodes
// anybody's picture. A file of SVG is drawn as a picture, in which no script runs and nothing is loaded.

const FILE = 2 * 1024 * 1024; // octets
const TRIES = [1, 0.75, 0.5]; // of the largest size: a picture without large areas of one colour takes more room

const form = document.getElementById("logo");
const [field, problem, preview] = ["file", "problem", "preview"].map((id) => document.getElementById(id));
const button = form.querySelector("button");

async function decoded(file) {
  const url = URL.createObjectURL(file);
  try {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    if (!picture.naturalWidth || !picture.naturalHeight) throw new Error("a picture without a size");
    return picture;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The picture on the canvas, in a share of the largest size, and never larger than it is. */
function draw(canvas, picture, share) {
  const { width, height } = form.dataset;
  const fit = Math.min(1, (share * width) / picture.naturalWidth, (share * height) / picture.naturalHeight);
  canvas.width = Math.max(1, Math.floor(picture.naturalWidth * fit));
  canvas.height = Math.max(1, Math.floor(picture.naturalHeight * fit));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height).data;
}

/** As a zlib stream (RFC 1950). */
async function packed(octets) {
  const stream = new Blob([octets]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function base64url(octets) {
  let text = "";
  for (const each of octets) text += String.fromCharCode(each);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function complain(code) {
  problem.textContent = code ? problem.dataset[code] : "";
  field.toggleAttribute("aria-invalid", Boolean(code));
  preview.hidden = button.disabled = Boolean(code);
}

async function choose() {
  const [file] = field.files;
  button.disabled = true;
  if (!file) return complain("");
  if (file.size > FILE) return complain("large");
  try {
    const picture = await decoded(file), canvas = preview.querySelector("canvas");
    for (const share of TRIES) {
      const made = await packed(draw(canvas, picture, share));
      if (made.length > 0.95 * form.dataset.octets) continue;
      form.elements.width.value = canvas.width;
      form.elements.height.value = canvas.height;
      form.elements.pixels.value = base64url(made);
      return complain("");
    }
    complain("unreadable");
  } catch {
    complain("unreadable");
  }
}

form.hidden = false;
field.addEventListener("change", choose);
