"use strict";
// DATA: photo, photo_wh, grid_hw, input_box, parts [{name, colour, mean, vertices, faces, top, token, weight,
// pixels, scales}], colours (256 x 3), note. See regard.parts.page for what each holds.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const byId = (id) => document.getElementById(id);
const COLOURS = bytes(DATA.colours);
const KEYS = DATA.grid_hw[0] * DATA.grid_hw[1] + 1; // the class token first

const parts = DATA.parts.map((part) => ({
  ...part,
  mean: floats(part.mean),
  vertices: floats(part.vertices),
  faces: new Uint32Array(bytes(part.faces).buffer),
  token: new Uint16Array(bytes(part.token).buffer), // (vertices, top)
  weight: bytes(part.weight), //                       likewise, 255 is 1
  pixels: bytes(part.pixels), //                       (tokens, KEYS), 255 is the row's scale
  scales: floats(part.scales),
}));

// ---- numbers -------------------------------------------------------------------------------

const attention = (part, token, key) => (part.pixels[token * KEYS + key] / 255) * part.scales[token];

function pixelsOfVertex(part, vertex) {
  const row = new Float32Array(KEYS);
  for (let i = vertex * part.top; i < (vertex + 1) * part.top; i++) {
    const share = part.weight[i] / 255;
    if (share) for (let key = 0; key < KEYS; key++) row[key] += share * attention(part, part.token[i], key);
  }
  return row;
}

function verticesOfPixel(part, key) {
  const values = new Float32Array(part.vertices.length / 3);
  for (let vertex = 0; vertex < values.length; vertex++) {
    for (let i = vertex * part.top; i < (vertex + 1) * part.top; i++) {
      values[vertex] += (part.weight[i] / 255) * attention(part, part.token[i], key);
    }
  }
  return values;
}

function meanOf(rows) {
  const mean = new Float32Array(KEYS);
  for (const row of rows) for (let key = 0; key < KEYS; key++) mean[key] += row[key] / rows.length;
  return mean;
}

// ---- colours -------------------------------------------------------------------------------

function colour(share) {
  const at = 3 * Math.max(0, Math.min(255, Math.round(share * 255)));
  return [COLOURS[at], COLOURS[at + 1], COLOURS[at + 2]];
}

function drawScale(high, unit) {
  const canvas = byId("scale");
  const pen = canvas.getContext("2d");
  for (let x = 0; x < canvas.width; x++) {
    pen.fillStyle = `rgb(${colour(x / (canvas.width - 1))})`;
    pen.fillRect(x, 0, 1, canvas.height);
  }
  byId("high").textContent = `${high.toPrecision(3)} ${unit}`;
}

// ---- the photo -----------------------------------------------------------------------------

const photo = byId("photo");
const image = new Image();
[photo.width, photo.height] = DATA.photo_wh;

function drawPhoto(row, marked) {
  const pen = photo.getContext("2d");
  pen.clearRect(0, 0, photo.width, photo.height);
  pen.drawImage(image, 0, 0, photo.width, photo.height);
  if (!row) return;
  const [rows, columns] = DATA.grid_hw;
  const high = Math.max(...row.slice(1));
  const heat = new OffscreenCanvas(columns, rows);
  const cells = heat.getContext("2d");
  const values = cells.createImageData(columns, rows);
  for (let cell = 0; cell < rows * columns; cell++) {
    const share = high > 0 ? row[cell + 1] / high : 0;
    values.data.set([...colour(share), 255 * 0.9 * share ** 0.7], 4 * cell);
  }
  cells.putImageData(values, 0, 0);
  const [x0, y0, x1, y1] = DATA.input_box;
  pen.fillStyle = "rgba(226, 227, 231, 0.7)"; // what the model did not see
  pen.beginPath();
  pen.rect(0, 0, photo.width, photo.height);
  pen.rect(x0, y1, x1 - x0, y0 - y1);
  pen.fill("evenodd");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(heat, x0, y0, x1 - x0, y1 - y0);
  if (marked) {
    pen.lineWidth = 3;
    for (const [style, width] of [["#000", 5], ["#fff", 2.5]]) {
      pen.strokeStyle = style;
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(marked[0], marked[1], 9, 0, 7);
      pen.stroke();
    }
  }
  drawScale(high * rows * columns, "× uniform");
}

function keyAt(x, y) {
  const [x0, y0, x1, y1] = DATA.input_box;
  const [rows, columns] = DATA.grid_hw;
  const column = Math.floor(((x - x0) / (x1 - x0)) * columns);
  const row = Math.floor(((y - y0) / (y1 - y0)) * rows);
  if (row < 0 || column < 0 || row >= rows || column >= columns) return null;
  return 1 + row * columns + column;
}

// ---- the object ----------------------------------------------------------------------------

const canvas = byId("object");
const renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
const scene = new THREE.Scene();
const camera = new THREE.PerspectiveCamera(40, 1, 0.01, 20);
camera.position.set(2.4, 1.6, 3.2);
const controls = new THREE.OrbitControls(camera, canvas);
scene.add(new THREE.HemisphereLight(0xffffff, 0x8a8a94, 2.2));
const sun = new THREE.DirectionalLight(0xffffff, 1.6);
sun.position.set(2, 3, 4);
scene.add(sun);

const meshes = parts.map((part) => {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(part.vertices, 3));
  geometry.setIndex(new THREE.BufferAttribute(part.faces, 1));
  geometry.setAttribute("color", new THREE.BufferAttribute(new Float32Array(part.vertices.length).fill(1), 3));
  geometry.computeVertexNormals();
  const material = new THREE.MeshStandardMaterial({ roughness: 0.75, vertexColors: true });
  const mesh = new THREE.Mesh(geometry, material);
  scene.add(mesh);
  return mesh;
});

const point = new THREE.Mesh(
  new THREE.SphereGeometry(0.022), new THREE.MeshBasicMaterial({ color: 0x1c1c20, depthTest: false }));
point.renderOrder = 1;
scene.add(point);

function paintPlain(chosen) {
  meshes.forEach((mesh, i) => {
    mesh.geometry.attributes.color.array.fill(1);
    mesh.geometry.attributes.color.needsUpdate = true;
    mesh.material.color.setRGB(...parts[i].colour.map((c) => c / 255), "srgb");
    mesh.material.transparent = chosen !== null && chosen !== i;
    mesh.material.opacity = mesh.material.transparent ? 0.15 : 1;
    mesh.material.depthWrite = !mesh.material.transparent;
    mesh.material.needsUpdate = true;
  });
  point.visible = false;
}

function paintValues(all) {
  const high = Math.max(1e-12, ...all.map((values) => values.reduce((a, b) => Math.max(a, b), 0)));
  const mixed = new THREE.Color();
  meshes.forEach((mesh, i) => {
    const colours = mesh.geometry.attributes.color;
    for (let v = 0; v < all[i].length; v++) {
      const [r, g, b] = colour(all[i][v] / high);
      mixed.setRGB(r / 255, g / 255, b / 255, "srgb");
      colours.setXYZ(v, mixed.r, mixed.g, mixed.b);
    }
    colours.needsUpdate = true;
    mesh.material.color.set(0xffffff);
    mesh.material.transparent = false;
    mesh.material.depthWrite = true;
    mesh.material.opacity = 1;
    mesh.material.needsUpdate = true;
  });
  point.visible = false;
  drawScale(high * (KEYS - 1), "× uniform");
}

function nearestVertex(hit) {
  const position = hit.object.geometry.attributes.position;
  let best = hit.face.a;
  let least = Infinity;
  for (const vertex of [hit.face.a, hit.face.b, hit.face.c]) {
    const distance = new THREE.Vector3().fromBufferAttribute(position, vertex).distanceTo(hit.point);
    if (distance < least) [best, least] = [vertex, distance];
  }
  return best;
}

function render() {
  const side = canvas.clientWidth;
  renderer.setPixelRatio(Math.min(2, devicePixelRatio));
  renderer.setSize(side, side, false);
  renderer.render(scene, camera);
}
controls.addEventListener("change", render);
addEventListener("resize", render);

// ---- what people do ------------------------------------------------------------------------

const say = (photoWords, objectWords = "Drag to turn, scroll to zoom, click a point.") => {
  byId("photo-words").textContent = photoWords;
  byId("object-words").textContent = objectWords;
};
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function press(chosen) {
  document.querySelectorAll("#parts button").forEach((b, i) => b.setAttribute("aria-pressed", String(i === chosen)));
}

function showAll() {
  press(null);
  paintPlain(null);
  drawPhoto(meanOf(parts.map((part) => part.mean)));
  say(`All ${parts.length} parts. Click the photo, a part, or a point of the object.`);
  render();
}

function showPart(i) {
  press(i);
  paintPlain(i);
  drawPhoto(parts[i].mean);
  say(`${parts[i].name}: mean over its tokens; ${percent(parts[i].mean[0])} on the class token.`);
  render();
}

function showVertex(i, vertex) {
  const row = pixelsOfVertex(parts[i], vertex);
  press(i);
  paintPlain(i);
  drawPhoto(row);
  const at = parts[i].vertices.slice(3 * vertex, 3 * vertex + 3);
  point.position.set(...at);
  point.visible = true;
  render();
  say(`What this point of ${parts[i].name} is attributed to.`,
      `Point (${[...at].map((x) => x.toFixed(2)).join(", ")}) of ${parts[i].name}.`);
}

function showPixel(x, y) {
  const key = keyAt(x, y);
  if (key === null) {
    say("The model did not see this place.");
    return;
  }
  const shares = parts.map((part) => part.mean[key]);
  const whole = shares.reduce((a, b) => a + b, 0);
  const first = shares.indexOf(Math.max(...shares));
  press(null);
  drawPhoto(meanOf(parts.map((part) => part.mean)), [x, y]);
  paintValues(parts.map((part) => verticesOfPixel(part, key)));
  say(`${parts[first].name} looks here most: ${percent(shares[first] / whole)} of what all parts give to it.`,
      "The surface, coloured by what is attributed to this place of the photo.");
  render();
}

parts.forEach((part, i) => {
  const button = document.createElement("button");
  button.type = "button";
  const dot = document.createElement("i");
  dot.style.background = `rgb(${part.colour})`;
  button.append(dot, part.name);
  button.addEventListener("click", () => showPart(i));
  byId("parts").append(button);
});
byId("reset").addEventListener("click", showAll);
addEventListener("keydown", (event) => event.key === "Escape" && showAll());
byId("note").textContent = DATA.note;

photo.addEventListener("click", (event) => {
  const box = photo.getBoundingClientRect();
  showPixel(((event.clientX - box.left) / box.width) * photo.width,
            ((event.clientY - box.top) / box.height) * photo.height);
});

let down = null;
canvas.addEventListener("pointerdown", (event) => { down = [event.clientX, event.clientY]; });
canvas.addEventListener("pointerup", (event) => {
  if (!down || Math.hypot(event.clientX - down[0], event.clientY - down[1]) > 4) return;
  const box = canvas.getBoundingClientRect();
  const at = new THREE.Vector2(
    (2 * (event.clientX - box.left)) / box.width - 1, 1 - (2 * (event.clientY - box.top)) / box.height);
  const ray = new THREE.Raycaster();
  ray.setFromCamera(at, camera);
  const [hit] = ray.intersectObjects(meshes);
  if (hit) showVertex(meshes.indexOf(hit.object), nearestVertex(hit));
});

image.addEventListener("load", () => {
  showAll();
  document.body.dataset.ready = "yes";
});
image.src = DATA.photo;
