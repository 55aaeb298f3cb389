// Click: an image of the dataset is rejected, one outside it accepted; click again to undo.
const cards = [...document.querySelectorAll(".sheet button")];
const { emotion, made } = document.body.dataset;
let saved = true;

const pressed = (card) => card.getAttribute("aria-pressed") === "true";
const kept = (card) => card.dataset.shown === "kept";

function press(card, on) {
  card.setAttribute("aria-pressed", String(on));
  saved = false;
  tell();
}

function tell() {
  const rejected = cards.filter((card) => kept(card) && pressed(card)).length;
  const accepted = cards.filter((card) => !kept(card) && pressed(card)).length;
  const parts = [`${rejected} of ${cards.filter(kept).length} rejected`];
  if (cards.some((card) => !kept(card))) parts.push(`${accepted} accepted`);
  document.getElementById("tally").textContent = parts.join(", ");
}

// An image outside the dataset that was not accepted stays where it is: it is not in the file.
function decisions() {
  return cards
    .filter((card) => kept(card) || pressed(card))
    .map((card) => ({
      file: card.dataset.file,
      shown: card.dataset.shown,
      decision: kept(card) === pressed(card) ? "rejected" : "accepted",
    }));
}

function save() {
  const content = { emotion, made, saved: new Date().toISOString(), decisions: decisions() };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1) + "\n"], { type: "application/json" }));
  link.download = `decisions-${emotion}.json`;
  document.body.append(link);
  link.click();
  link.remove();
  saved = true;
}

async function load(file) {
  const about = document.getElementById("about");
  try {
    const content = JSON.parse(await file.text());
    if (content.emotion !== emotion) throw new Error(`it is of ${content.emotion}`);
    const before = new Map(content.decisions.map((d) => [`${d.file} ${d.shown}`, d.decision]));
    for (const card of cards) {
      const decision = before.get(`${card.dataset.file} ${card.dataset.shown}`);
      if (decision) press(card, decision === (kept(card) ? "rejected" : "accepted"));
    }
    about.textContent = `${file.name} is loaded`;
  } catch (error) {
    about.textContent = `${file.name} cannot be loaded: ${error.message}`;
  }
}

for (const card of cards) {
  card.addEventListener("click", () => press(card, !pressed(card)));
  for (const event of ["focus", "mouseenter"]) {
    card.addEventListener(event, () => (document.getElementById("about").textContent = card.title));
  }
}
document.getElementById("save").addEventListener("click", save);
document.getElementById("load").addEventListener("change", (event) => {
  if (event.target.files[0]) load(event.target.files[0]);
  event.target.value = "";
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const at = cards.indexOf(document.activeElement);
  const inRow = at < 0 ? 1 : cards.filter((card) => card.offsetTop === cards[at].offsetTop).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -inRow, ArrowDown: inRow }[event.key];
  if (step !== undefined && cards.length) {
    cards[at < 0 ? 0 : Math.min(cards.length - 1, Math.max(0, at + step))].focus();
    event.preventDefault();
  } else if (event.key === "x" && at >= 0) {
    press(cards[at], !pressed(cards[at]));
  } else if (event.key === "s") {
    save();
  }
});
addEventListener("beforeunload", (event) => {
  if (!saved) event.preventDefault();
});
tell();
