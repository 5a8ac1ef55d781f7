"use strict";
// what every page does: draw a figure when it comes near, in the reader's mode, and again when that changes
const read = (name) => JSON.parse(document.getElementById("data-" + name).textContent);
const templates = read("templates"), figures = read("figures");
const system = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("screen and (max-width: 760px)");
const touch = matchMedia("(pointer: coarse)").matches;
const shows = new Map(), shown = new Set();

// the system's mode, until the reader chooses one
let chosenMode = null;
const mode = () => chosenMode ?? (system.matches ? "dark" : "light");
const other = () => mode() === "dark" ? "light" : "dark";

function draw(place, figure) {
  const layout = Object.assign({}, figure.layout, {template: templates[mode()]});
  // a finger scrolls the page; it does not zoom a figure
  if (touch) layout.dragmode = false;
  if (narrow.matches && layout.coloraxis) layout.coloraxis = Object.assign({}, layout.coloraxis, {showscale: false});
  // months in two lines do not lean
  const stops = layout.xaxis?.tickformatstops;
  if (narrow.matches && stops) layout.xaxis = {...layout.xaxis, tickformatstops: stops.map((stop) =>
    stop.value === "%b %Y" ? {...stop, value: "%b<br>%Y"} : stop)};
  place.style.minHeight = layout.height + "px";
  const data = figure.data.map((trace) => fitted(trace, place.clientWidth));
  return Plotly.react(place, data, layout, {responsive: true, displayModeBar: false, doubleClick: "reset"});
}

// narrow cells hold no decimals, and nothing where all is between -1 and 1; 90 is the room of the axis and the scale
function fitted(trace, width) {
  if (trace.type !== "heatmap" || !trace.text || (width - 90) / trace.x.length > 33) return trace;
  const whole = (cell) => cell && String(Math.round(Number(cell.replace("−", "-")))).replace("-", "−");
  return Object.assign({}, trace, {text: trace.zmax > 1 ? trace.text.map((row) => row.map(whole)) : [], textfont: {size: 9}});
}

const near = new IntersectionObserver((entries) => {
  for (const {isIntersecting, target} of entries) {
    if (isIntersecting) appear(target);
  }
}, {rootMargin: "600px"});

function appear(place) {
  if (shown.has(place)) return;
  near.unobserve(place);
  shown.add(place);
  shows.get(place)();
}

function whenNear(place, show) {
  shows.set(place, show);
  near.observe(place);
}

// what a page does with a figure of a name, each time it is drawn
const hooks = new Map();
for (const place of document.querySelectorAll("[data-figure]")) {
  const name = place.dataset.figure;
  whenNear(place, () => { draw(place, figures[name]); hooks.get(name)?.(place); });
}

const theme = document.getElementById("theme");
function paint() {
  document.documentElement.dataset.theme = mode();
  theme.textContent = other() === "dark" ? "Dark mode" : "Light mode";
  for (const place of shown) shows.get(place)();
}
theme.addEventListener("click", () => { chosenMode = other(); paint(); });
theme.hidden = false;
for (const query of [system, narrow]) query.addEventListener("change", paint);
paint();
// paper has no further down to scroll to, and is narrower than a screen
addEventListener("beforeprint", () => {
  for (const place of shows.keys()) { appear(place); if (place.data) Plotly.relayout(place, {width: Math.min(640, innerWidth)}); }
});
addEventListener("afterprint", () => {
  for (const place of shown) if (place.data) Plotly.relayout(place, {width: null, autosize: true});
});
