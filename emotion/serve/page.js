// The page of emotion.serve: the visitor's camera or files go up as JPEG, faces come down as JSON, and are drawn on the
// very frame that was labelled. Nothing is loaded from elsewhere and nothing is kept.

const WIDTH = 640; // frames are sent at most so wide
const RATE = 15; // and at most so many a second
const IN_FLIGHT = 2; // frames without an answer, at most
const SECONDS = 30; // of the timeline
const MOST_ROWS = 200000; // of the table
const CARDS = 4; // faces beside the picture

const $ = (id) => document.getElementById(id);
const video = $("video"), canvas = $("canvas"), sketch = document.createElement("canvas");
let model = null, socket = null, stream = null, playing = false, paused = false, encoding = false, wanted = false;
let flying = [], lastSent = 0, wait = 500, rows = [], history = [], answered = [], spoken = 0, address = null;

// ------------------------------------------------------------------------------------------------------ the server

async function begin() {
  const secure = window.isSecureContext && navigator.mediaDevices && navigator.mediaDevices.getUserMedia;
  const port = location.port || (location.protocol === "https:" ? "443" : "80");
  $("tunnel").textContent = `ssh -L ${port}:localhost:${port} ${location.hostname}`;
  $("tunnel-link").textContent = $("tunnel-link").href = `http://localhost:${port}/`;
  document.querySelectorAll(".server").forEach((e) => { e.textContent = location.host; });
  try {
    const answer = await fetch("v1/model");
    const told = await answer.json();
    if (!answer.ok) { throw new Error(told.error.message); }
    model = told;
  } catch (error) {
    say(`The server does not answer (${error.message}); trying again.`);
    setTimeout(begin, 2000);
    return;
  }
  say("");
  $("model").textContent = `${model.run} · ${model.labels.length} labels · ${model.engine}`;
  $("insecure").hidden = Boolean(secure) || Boolean(model.camera);
  $("start").disabled = !secure;
  $("smoothing").value = model.settings.smoothing;
  showSmoothing();
  for (const label of model.labels) {
    const item = document.createElement("li"), mark = document.createElement("i");
    mark.style.background = model.colours[label];
    item.append(mark, label);
    $("legend").append(item);
  }
  for (const prior of model.priors) { $("prior").append(new Option(prior, prior)); }
  $("prior-row").hidden = model.priors.length < 2;
  if (model.camera) { watch(); }
}

function connect(path) {
  address = path;
  wanted = true;
  if (socket && socket.readyState <= 1) { return; }
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/${path}`);
  socket = opened;
  opened.binaryType = "arraybuffer";
  opened.onopen = () => { wait = 500; flying = []; say(""); if (path === "v1/live") { settings(); } };
  opened.onmessage = (event) => {
    if (opened !== socket) { return; }
    if (typeof event.data === "string") { take(JSON.parse(event.data)); } else { show(event.data); }
  };
  opened.onclose = (event) => {
    if (opened !== socket) { return; }
    socket = null;
    drop();
    if (!wanted) { return; }
    if (event.code === 1001 && document.hidden) { return; } // silent for too long: the tab is hidden
    if (event.code === 1000) { say("The source has ended."); return; }
    if (event.code !== 1013) { say("The connection is lost; trying again."); }
    setTimeout(() => { if (wanted) { connect(path); } }, wait);
    wait = Math.min(2 * wait, 8000);
  };
}

function disconnect() {
  wanted = false;
  drop();
  if (socket) { socket.close(); socket = null; }
}

function drop() {
  for (const one of flying) { one.bitmap.close(); }
  flying = [];
}

function settings(more) {
  if (!socket || socket.readyState !== 1) { return; }
  const chosen = { smoothing: Number($("smoothing").value), prior: $("prior").value, ...more };
  socket.send(JSON.stringify(chosen));
}

function say(words) { $("status").textContent = words; }

// -------------------------------------------------------------------------------------------------- camera and video

async function startCamera(device) {
  stopSource();
  const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
  let found;
  try {
    found = await navigator.mediaDevices.getUserMedia({ audio: false, video: device ? { deviceId: { exact: device }, ...size } : size });
  } catch (error) {
    say({
      NotAllowedError: "The camera was refused. Allow it in the browser's address bar, then start again.",
      NotFoundError: "There is no camera. Plug one in, or open a picture or a video.",
      NotReadableError: "The camera is used by another program. Close that, then start again.",
      OverconstrainedError: "That camera is not there any more. Choose another.",
    }[error.name] || `The camera cannot be started: ${error.message}`);
    cameras();
    return;
  }
  stream = found;
  const [track] = found.getVideoTracks();
  track.onended = () => { if (stream === found) { stop("The camera was unplugged or taken away."); } };
  video.srcObject = found;
  $("recording").hidden = false;
  await play();
  cameras(track.getSettings().deviceId);
}

async function openVideo(file) {
  stopSource();
  video.src = URL.createObjectURL(file);
  try {
    await play();
  } catch {
    stop(`This browser cannot play ${file.name}. Programs can send it to POST /v1/videos.`);
  }
}

async function play() {
  await video.play();
  playing = true;
  $("work").hidden = false;
  $("before").hidden = true;
  paused = false;
  showPaused();
  say("");
  connect("v1/live");
  settings({ reset: true });
  tick();
}

function stopSource() {
  playing = false;
  if (stream) { for (const track of stream.getTracks()) { track.stop(); } }
  stream = null;
  if (video.src) { URL.revokeObjectURL(video.src); video.removeAttribute("src"); }
  video.srcObject = null;
  $("recording").hidden = true;
}

function stop(words) {
  stopSource();
  disconnect();
  $("before").hidden = false;
  say(words || "");
}

async function cameras(chosen) {
  if (!navigator.mediaDevices || !navigator.mediaDevices.enumerateDevices) { return; }
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
  $("camera").replaceChildren(...found.map((one, i) => new Option(one.label || `camera ${i + 1}`, one.deviceId, false, one.deviceId === chosen)));
}

// ------------------------------------------------------------------------------------------------------- frames up

function tick() {
  if (!playing) { return; }
  if (video.ended) { stopSource(); say("The video has ended."); return; }
  send();
  if (video.requestVideoFrameCallback && !video.paused) {
    let once = false;
    const next = () => { if (!once) { once = true; tick(); } };
    video.requestVideoFrameCallback(next);
    setTimeout(next, 250); // hidden pages and stills have no frames
  } else {
    setTimeout(tick, 1000 / RATE);
  }
}

async function send() {
  const now = performance.now();
  if (paused || document.hidden || encoding || flying.length >= IN_FLIGHT || now - lastSent < 1000 / RATE - 4) { return; }
  if (!socket || socket.readyState !== 1 || !video.videoWidth) { return; }
  lastSent = now;
  encoding = true;
  try {
    const scale = Math.min(1, WIDTH / video.videoWidth);
    sketch.width = Math.round(video.videoWidth * scale);
    sketch.height = Math.round(video.videoHeight * scale);
    sketch.getContext("2d").drawImage(video, 0, 0, sketch.width, sketch.height);
    const time = stream ? now : video.currentTime * 1000;
    const [bitmap, blob] = await Promise.all([createImageBitmap(sketch), new Promise((done) => sketch.toBlob(done, "image/jpeg", 0.85))]);
    if (!socket || socket.readyState !== 1) { bitmap.close(); return; }
    const head = new ArrayBuffer(8);
    new DataView(head).setFloat64(0, time);
    flying.push({ bitmap, sent: performance.now() });
    socket.send(new Blob([head, blob]));
  } finally {
    encoding = false;
  }
}

// ------------------------------------------------------------------------------------------------------ faces down

function take(answer) {
  if (answer.settings) { return; }
  const one = flying.shift();
  if (answer.error) {
    say(answer.error.message);
  } else if (one && !answer.dropped) {
    answered.push(performance.now());
    while (answered[0] < answered.at(-1) - 2000) { answered.shift(); }
    const fps = answered.length > 1 ? (1000 * (answered.length - 1)) / (answered.at(-1) - answered[0]) : 0;
    $("rate").textContent = `${fps.toFixed(0)} labelled frames/s · ${(performance.now() - one.sent).toFixed(0)} ms from frame to label`;
    if (playing || stream === null) { present(one.bitmap, answer); }
  }
  if (one) { one.bitmap.close(); }
}

function present(bitmap, answer, drawn) {
  draw(canvas, bitmap, drawn ? [] : answer.faces, mirrored());
  canvas.dataset.frame = answer.frame;
  cards(answer.faces);
  record(answer);
  const now = performance.now();
  if (now - spoken > 2000) { // a screen reader is not told fifteen times a second
    spoken = now;
    canvas.setAttribute("aria-label", words(answer.faces));
  }
}

function mirrored() { return $("mirror").checked && stream !== null; }

function words(faces) {
  if (!faces.length) { return "no face"; }
  return faces.map((face) => `${face.label} ${percent(face.confidence)}`).join(", ");
}

function percent(share) { return `${Math.round(100 * share)} %`; }

function draw(target, image, faces, mirror) {
  const width = image.width, height = image.height, pen = target.getContext("2d");
  target.width = width;
  target.height = height;
  pen.save();
  if (mirror) { pen.translate(width, 0); pen.scale(-1, 1); }
  pen.drawImage(image, 0, 0);
  pen.restore();
  const line = Math.max(2, Math.min(width, height) / 160), size = Math.max(13, Math.round(Math.min(width, height) / 22));
  pen.font = `600 ${size}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const face of [...faces].reverse()) {
    const [left, y, w, h] = face.box, x = mirror ? width - left - w : left, colour = model.colours[face.label] || "#dcdcdc";
    pen.lineWidth = 2 * line; pen.strokeStyle = "#141418"; pen.strokeRect(x, y, w, h);
    pen.lineWidth = line; pen.strokeStyle = colour; pen.strokeRect(x, y, w, h);
    const text = `${face.track === null ? "" : `#${face.track} `}${face.label}${face.label === "uncertain" ? "" : ` ${percent(face.confidence)}`}`;
    const wide = pen.measureText(text).width + size, high = 1.5 * size;
    const px = Math.max(0, Math.min(x - line / 2, width - wide)), py = y >= high ? y - high : Math.min(y + h, height - high);
    pen.fillStyle = "#141418"; pen.fillRect(px, py, wide, high);
    pen.fillStyle = colour; pen.fillRect(px, py, line * 2, high);
    pen.fillStyle = "#ffffff"; pen.fillText(text, px + size / 2 + line, py + high / 2);
  }
}

function cards(faces) {
  const box = $("faces"), shown = faces.slice(0, CARDS);
  while (box.childElementCount > shown.length) { box.lastElementChild.remove(); }
  while (box.childElementCount < shown.length) { box.append(card()); }
  shown.forEach((face, i) => {
    const at = box.children[i];
    at.style.borderLeftColor = model.colours[face.label];
    at.querySelector("strong").textContent = `${face.track === null ? "" : `#${face.track} `}${face.label}`;
    model.labels.forEach((label, k) => {
      at.querySelectorAll("i")[k].style.width = `${100 * face.probabilities[label]}%`;
      at.querySelectorAll("i")[k].style.background = label === face.label ? model.colours[label] : "";
      at.querySelectorAll(".share")[k].textContent = percent(face.probabilities[label]);
    });
  });
}

function card() {
  const at = document.createElement("div"), list = document.createElement("dl");
  at.className = "face";
  list.className = "bars";
  for (const label of model.labels) {
    const name = document.createElement("dt"), bar = document.createElement("dd"), share = document.createElement("dd");
    name.textContent = label;
    bar.className = "track";
    bar.setAttribute("aria-hidden", "true");
    bar.append(document.createElement("i"));
    share.className = "share";
    list.append(name, bar, share);
  }
  at.append(document.createElement("strong"), list);
  return at;
}

// ------------------------------------------------------------------------------------------- timeline, table, snapshot

function record(answer) {
  if (rows.length < MOST_ROWS) {
    for (const face of answer.faces) { rows.push({ frame: answer.frame, time: answer.time, ...face }); }
    if (rows.length >= MOST_ROWS) { say("The table is full; save it, and open the page again for a new one."); }
  }
  const now = answer.time;
  if (history.length && now < history.at(-1).time) { history = []; }
  history.push({ time: now, probabilities: answer.faces.length ? answer.faces[0].probabilities : null });
  while (history[0].time < now - SECONDS) { history.shift(); }
  const pen = $("timeline").getContext("2d"), { width, height } = $("timeline");
  pen.clearRect(0, 0, width, height);
  pen.strokeStyle = "#3b4148";
  pen.lineWidth = 1;
  for (const share of [0.25, 0.5, 0.75]) { pen.beginPath(); pen.moveTo(0, height * (1 - share)); pen.lineTo(width, height * (1 - share)); pen.stroke(); }
  pen.lineWidth = 3;
  for (const label of model.labels) {
    pen.strokeStyle = model.colours[label];
    pen.beginPath();
    let begun = false;
    for (const moment of history) {
      if (!moment.probabilities) { begun = false; continue; }
      const x = width * (1 - (now - moment.time) / SECONDS), y = 2 + (height - 4) * (1 - moment.probabilities[label]);
      if (begun) { pen.lineTo(x, y); } else { pen.moveTo(x, y); }
      begun = true;
    }
    pen.stroke();
  }
}

function csv() {
  const names = model.labels, first = rows.length ? rows[0].time : 0;
  const head = ["frame", "time", "track", "x", "y", "width", "height", "label", "confidence", "top", ...names, ...names.map((n) => `raw_${n}`)];
  const lines = rows.map((r) => [r.frame, (r.time - first).toFixed(6), r.track, ...r.box, r.label, r.confidence, r.top,
    ...names.map((n) => r.probabilities[n]), ...names.map((n) => r.raw[n])].join(","));
  return [head.join(","), ...lines, ""].join("\r\n");
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// ---------------------------------------------------------------------------------------------------- files

async function openFiles(files) {
  const pictures = files.filter((file) => !file.type.startsWith("video/")), videos = files.filter((file) => file.type.startsWith("video/"));
  if (videos.length && !model.camera) { await openVideo(videos[0]); }
  if (pictures.length) { $("gallery").replaceChildren(); }
  for (const file of pictures) { await openPicture(file); }
}

async function openPicture(file) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  figure.append(caption);
  $("gallery").append(figure);
  try {
    const image = await createImageBitmap(file).catch(() => { throw new Error("this browser cannot show it"); });
    const taken = ["image/jpeg", "image/png", "image/webp"].includes(file.type) && file.size <= model.limits.picture_mib * 2 ** 20;
    const body = taken ? file : await converted(image);
    const answer = await fetch("v1/pictures", { method: "POST", body, headers: { "Content-Type": body.type } });
    const told = await answer.json();
    if (!answer.ok) { throw new Error(told.error.message); }
    const faces = told.pictures[0].faces, at = document.createElement("canvas");
    draw(at, image, faces, false);
    at.setAttribute("role", "img");
    at.setAttribute("aria-label", words(faces));
    figure.prepend(at);
    caption.textContent = `${file.name}: ${words(faces)}`;
  } catch (error) {
    caption.textContent = `${file.name}: ${error.message}`;
  }
}

function converted(image) {
  const scale = Math.min(1, 2560 / Math.max(image.width, image.height));
  sketch.width = Math.round(image.width * scale);
  sketch.height = Math.round(image.height * scale);
  sketch.getContext("2d").drawImage(image, 0, 0, sketch.width, sketch.height);
  return new Promise((done) => sketch.toBlob(done, "image/jpeg", 0.92));
}

// ------------------------------------------------------------------------------- the server's own camera

function watch() {
  document.querySelectorAll("#before li")[1].remove();
  document.querySelector("#before .buttons").hidden = true;
  $("before-title").textContent = `This page shows ${model.camera}`;
  $("sent").textContent = "The pictures come from the server's camera or file; nothing is sent from here.";
  for (const id of ["start", "stop", "settings"]) { $(id).hidden = true; }
  $("work").hidden = false;
  connect("v1/watch");
}

async function show(data) { // the server has drawn on the picture
  if (paused) { return; }
  const length = new DataView(data).getUint32(0), text = new TextDecoder().decode(new Uint8Array(data, 4, length));
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }));
  present(bitmap, JSON.parse(text), true);
  bitmap.close();
}

// --------------------------------------------------------------------------------------------------- controls

function showPaused() {
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
}

function showSmoothing() {
  const seconds = Number($("smoothing").value);
  $("smoothing-shown").textContent = seconds ? `${seconds} s` : "off";
}

$("start").onclick = () => startCamera($("camera").value);
$("stop").onclick = () => stop("Stopped; the camera is off.");
$("pause").onclick = () => {
  paused = !paused;
  showPaused();
  if (!stream && video.src) { if (paused) { video.pause(); } else { video.play(); } }
  if (!paused) { connect(address); if (!model.camera) { settings({ reset: true }); } }
};
$("camera").onchange = () => startCamera($("camera").value);
$("mirror").onchange = () => video.classList.toggle("mirrored", mirrored());
$("smoothing").oninput = showSmoothing;
$("smoothing").onchange = () => settings();
$("prior").onchange = () => settings();
$("snapshot").onclick = () => canvas.toBlob((blob) => save(blob, `emotion-${new Date().toISOString().replace(/[:.]/g, "-")}.png`));
$("table").onclick = () => save(new Blob([csv()], { type: "text/csv" }), "faces.csv");
$("files").onchange = (event) => { openFiles([...event.target.files]); event.target.value = ""; };
document.ondragover = (event) => { event.preventDefault(); document.body.classList.add("dropping"); };
document.ondragleave = () => document.body.classList.remove("dropping");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  openFiles([...event.dataTransfer.files]);
};
document.onvisibilitychange = () => { if (!document.hidden && playing && !paused) { connect(address); settings({ reset: true }); } };
window.onpagehide = () => stopSource();
if (navigator.mediaDevices) { navigator.mediaDevices.ondevicechange = () => cameras($("camera").value); }
video.onplaying = () => video.classList.toggle("mirrored", mirrored());
begin();
