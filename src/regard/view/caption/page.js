const data = DATA;
const canvas = document.getElementById("map");
const caption = document.getElementById("caption");
const status = document.getElementById("status");
const head = document.getElementById("head");
const each = document.getElementById("each");
const outline = document.getElementById("outline");
const context = canvas.getContext("2d");
const photo = new Image();
// The map is computed on a coarse raster: boxes have flat density, so nothing is lost to the eye.
const raster = document.createElement("canvas");
raster.width = 320;
raster.height = Math.max(1, Math.round(320 * data.photo_wh[1] / data.photo_wh[0]));
const area = data.boxes.map(([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0));
let shown = { word: null, region: null };
let held = false;

const percent = (value) => (100 * value).toFixed(1) + " %";

function weights(word) {
  const heads = data.weights[word];
  if (head.value !== "mean") return heads[Number(head.value)];
  return heads[0].map((_, i) => heads.reduce((sum, row) => sum + row[i], 0) / heads.length);
}

// Density in units of an even spread over the photo: 1 is what every place would get.
function density(word) {
  const { width, height } = raster;
  const values = new Float32Array(width * height);
  weights(word).forEach((weight, i) => {
    const [x0, y0, x1, y1] = data.boxes[i];
    const top = Math.round(y0 * height), bottom = Math.max(top + 1, Math.round(y1 * height));
    const left = Math.round(x0 * width), right = Math.max(left + 1, Math.round(x1 * width));
    for (let y = top; y < Math.min(bottom, height); y++)
      for (let x = left; x < Math.min(right, width); x++) values[y * width + x] += weight / area[i];
  });
  return values;
}

function upperEnd(words) {
  let most = 1e-9;
  for (const word of words) for (const value of density(word)) if (value > most) most = value;
  return most;
}

const scales = new Map();
function scale(word) {
  const key = head.value + (each.checked ? "," + word : "");
  if (!scales.has(key)) scales.set(key, upperEnd(each.checked ? [word] : data.words.keys()));
  return scales.get(key);
}

function drawMap(word) {
  const values = density(word), most = scale(word);
  const pixels = new ImageData(raster.width, raster.height);
  values.forEach((value, i) => {
    const share = Math.min(1, value / most);
    const colour = data.colours[Math.round(share * 255)];
    pixels.data.set([...colour, 255 * 0.9 * Math.pow(share, 0.7)], 4 * i);
  });
  const paint = raster.getContext("2d");
  paint.putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(raster, 0, 0, canvas.width, canvas.height);
}

function drawBox(region, colour) {
  const [x0, y0, x1, y1] = data.boxes[region];
  const place = [x0 * canvas.width, y0 * canvas.height, (x1 - x0) * canvas.width, (y1 - y0) * canvas.height];
  context.lineWidth = 5;
  context.strokeStyle = "#000";
  context.strokeRect(...place);
  context.lineWidth = 3;
  context.strokeStyle = colour;
  context.strokeRect(...place);
}

const heaviest = (row) =>
  row.map((weight, i) => [weight, i]).sort((a, b) => b[0] - a[0]).slice(0, 5);

function describeWord(word) {
  const top = heaviest(weights(word)).map(([w, i]) => `${data.names[i]} ${percent(w)}`).join(", ");
  const gate = data.gate === null ? "" : ` · gate ${percent(data.gate[word])} open`;
  const entropy = -weights(word).reduce((sum, w) => sum + (w > 0 ? w * Math.log(w) : 0), 0);
  return `“${data.words[word]}” · probability ${percent(data.probabilities[word])}${gate}` +
    ` · entropy ${entropy.toFixed(2)} nats · ${top}`;
}

function describeRegion(region) {
  const use = data.words.map((word, i) => [weights(i)[region], word]);
  const top = use.sort((a, b) => b[0] - a[0]).slice(0, 5);
  return `${data.names[region]} · used by ` + top.map(([w, t]) => `“${t}” ${percent(w)}`).join(", ");
}

function draw() {
  context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  const { word, region } = shown;
  if (word !== null) {
    drawMap(word);
    if (outline.checked) heaviest(weights(word)).forEach(([, i]) => drawBox(i, "#fff"));
    status.textContent = describeWord(word);
  } else if (region !== null) {
    drawBox(region, "#ffd23f");
    status.textContent = describeRegion(region);
  } else {
    status.textContent = "";
  }
  mark();
}

// Words carry colour by how much they used the region; the shown word is underlined.
function mark() {
  const { word, region } = shown;
  const use = data.words.map((_, i) => (region === null ? 0 : weights(i)[region]));
  const most = Math.max(...use, 1e-9);
  [...caption.children].forEach((button, i) => {
    button.setAttribute("aria-pressed", String(i === word));
    const share = Math.round(75 * use[i] / most);
    button.style.background =
      region === null ? "" : `color-mix(in srgb, var(--mark) ${share}%, transparent)`;
    button.dataset.use = use[i].toFixed(6);
  });
}

function show(what, hold = false) {
  if (held && !hold) return;
  held = hold;
  shown = { word: null, region: null, ...what };
  draw();
}

function release() {
  held = false;
  show({});
}

// The smallest box under the pointer.
function regionAt(event) {
  const frame = canvas.getBoundingClientRect();
  const x = (event.clientX - frame.left) / frame.width;
  const y = (event.clientY - frame.top) / frame.height;
  let best = null;
  data.boxes.forEach(([x0, y0, x1, y1], i) => {
    const inside = x >= x0 && x < x1 && y >= y0 && y < y1;
    if (inside && (best === null || area[i] < area[best])) best = i;
  });
  return best;
}

data.words.forEach((text, word) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  if (text === "<end>") button.className = "end";
  button.addEventListener("pointerenter", () => show({ word }));
  button.addEventListener("focus", () => show({ word }));
  button.addEventListener("click", () => show({ word }, true));
  caption.append(button);
});
head.append(new Option("mean of all", "mean"));
data.weights[0].forEach((_, i) => head.append(new Option(String(i), String(i))));
if (data.head !== null) head.value = String(data.head);
for (const control of [head, each, outline]) control.addEventListener("change", draw);
canvas.addEventListener("pointermove", (event) => show({ region: regionAt(event) }));
canvas.addEventListener("pointerleave", () => show({}));
canvas.addEventListener("click", (event) => show({ region: regionAt(event) }, true));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") release(); });
document.getElementById("model").textContent = data.model;
photo.addEventListener("load", () => {
  canvas.width = photo.naturalWidth;
  canvas.height = photo.naturalHeight;
  show(data.words.length ? { word: 0 } : {});
  document.body.dataset.ready = "yes";
});
photo.src = data.photo;
