// the market report's own: candlesticks on request, the table, the matrix, labels of last values
(() => {
  const market = read("market");
  const $ = (id) => document.getElementById(id);
  let bars = {};

  // ── candlesticks ──
  const stage = $("candlestick"), symbol = $("symbol"), range = $("range");
  const ranges = [["Session", 0], ["3 months", 63], ["6 months", 126], ["All", Infinity]];
  let chosen = 126;

  // base64 of gzip of JSON
  async function unpacked(name) {
    const bytes = Uint8Array.from(atob($("data-" + name).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  // bars are differences of whole numbers
  function numbers(differences, digits) {
    let whole = 0;
    return differences.map((step) => step === null ? null : (whole += step) / 10 ** digits);
  }

  function candles() {
    const there = bars[symbol.value];
    if (!there) return;
    const name = chosen === 0 && there.session ? "session" : "daily";
    for (const button of range.children) {
      button.setAttribute("aria-pressed", String(Number(button.value) === (name === "session" ? 0 : chosen || 126)));
      button.disabled = button.value === "0" && !there.session;
    }
    draw(stage, filled(market.frames[name], there[name], name === "session" ? Infinity : chosen || 126));
    label(stage, there[name].digits);
  }

  // the frame with the last bars of a symbol; axes then fit them by themselves
  function filled({times, figure}, coded, last) {
    const column = (name, digits) => numbers(coded[name], digits).slice(-last);
    const x = column("places", 0).map((place) => times[place]);
    const prices = Object.fromEntries(["open", "high", "low", "close"].map((name) => [name, column(name, coded.digits)]));
    // a price below 1 shows more digits
    const made = JSON.parse(JSON.stringify(figure).replaceAll(",.2f", `,.${Math.max(0, coded.digits)}f`));
    const [candle] = made.data;
    const colours = [candle.increasing.line.color, candle.decreasing.line.color];
    for (const trace of made.data) {
      trace.x = x;
      if (trace === candle) Object.assign(trace, prices, {name: escaped(symbol.value)});
      else if (trace.type === "bar") {
        trace.y = column("volume", 0);
        trace.marker.color = x.map((_, n) => colours[prices.close[n] >= prices.open[n] ? 0 : 1]);
      } else trace.y = column(trace.name, coded.digits);
    }
    return made;
  }

  // a figure reads text as markup
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

  function show(name) {
    if (!bars[name]) return;
    symbol.value = name;
    candles();
  }

  for (const [text, value] of ranges) {
    if (value === 0 && !market.frames.session) continue;
    const button = document.createElement("button");
    button.type = "button"; button.textContent = text; button.value = String(value);
    button.addEventListener("click", () => { chosen = value; candles(); });
    range.append(button);
  }
  symbol.addEventListener("change", candles);
  document.addEventListener("click", ({target}) => {
    const link = target.closest("[data-symbol]");
    if (link) show(link.dataset.symbol);
  });
  whenNear(stage, candles);
  unpacked("charts").then((found) => { bars = found; if (shown.has(stage)) candles(); },
    () => { stage.textContent = "This browser cannot unpack the charts: it lacks DecompressionStream, which browsers have since 2023."; });

  // ── a tile of the treemap leads to the chart; a sector zooms, as it does by itself ──
  hooks.set("treemap", (place) => {
    place.removeAllListeners("plotly_treemapclick");
    place.on("plotly_treemapclick", ({points}) => {
      if (!bars[points[0].id]) return true;
      show(points[0].id);
      $("candles").scrollIntoView();
      return false;
    });
  });

  // ── the table: sort, search, download ──
  const table = $("table"), search = $("search");
  const rows = [...table.tBodies[0].rows], heads = [...table.tHead.rows[0].cells];
  const texts = rows.map((row) => [row.cells[0], ...row.querySelectorAll(".left")].map((cell) => cell.textContent).join(" ").toLowerCase());

  function sort(place) {
    const head = heads[place], isText = place === 0 || head.classList.contains("left");
    // numbers begin with the largest
    const up = head.ariaSort ? head.ariaSort === "descending" : isText;
    for (const each of heads) each.removeAttribute("aria-sort");
    head.ariaSort = up ? "ascending" : "descending";
    const value = (row) => row.cells[place].dataset.v;
    const order = (a, b) => isText ? a.localeCompare(b) : a - b;
    // an unknown figure is last either way
    const compare = (a, b) => (a === undefined) - (b === undefined) || (up ? 1 : -1) * order(a, b);
    table.tBodies[0].append(...[...rows].sort((a, b) => compare(value(a), value(b))));
  }
  heads.forEach((head, place) => head.firstElementChild.addEventListener("click", () => sort(place)));

  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    // columns keep their widths while rows are hidden
    if (wanted && rows.every((row) => !row.hidden)) for (const head of heads) head.style.minWidth = `${head.getBoundingClientRect().width}px`;
    if (!wanted) for (const head of heads) head.style.minWidth = "";
    rows.forEach((row, n) => { row.hidden = !texts[n].includes(wanted); });
    const count = rows.filter((row) => !row.hidden).length;
    $("found").textContent = wanted ? `${count} of ${rows.length}` : "";
    $("nothing").hidden = count > 0;
  });

  $("download").addEventListener("click", async () => {
    const link = document.createElement("a");
    // a record a row, in the order of the table
    const [names, ...records] = (await unpacked("csv")).match(/(?:"(?:[^"]|"")*"|[^"\n])+\n/g);
    const order = [...table.tBodies[0].rows].map((row) => records[rows.indexOf(row)]);
    // the mark tells Excel that it is UTF-8
    link.href = URL.createObjectURL(new Blob(["\ufeff", names, ...order], {type: "text/csv"}));
    link.download = market.name;
    link.click();
    URL.revokeObjectURL(link.href);
  });

  // ── correlation over one of some windows ──
  const matrix = $("matrix");
  if (matrix) {
    const buttons = [...$("correlation").querySelectorAll("button")];
    const pressed = () => buttons.find((button) => button.ariaPressed === "true").value;
    for (const button of buttons) button.addEventListener("click", () => {
      for (const each of buttons) each.ariaPressed = String(each === button);
      draw(matrix, figures[pressed()]);
    });
    whenNear(matrix, () => draw(matrix, figures[pressed()]));
  }

  // ── the last value of each line, on the axis; labels that would overlap move apart ──
  for (const name of ["comparison", "drawdown"]) hooks.set(name, (place) => {
    // a line that its legend hides has no label
    place.removeAllListeners("plotly_restyle");
    place.on("plotly_restyle", () => label(place, 1));
    // a legend takes the height of a narrow figure, whose labels name the lines
    if (place.clientWidth < 560) Plotly.relayout(place, {showlegend: false, "margin.t": 12});
    label(place, 1);
  });

  function label(place, digits) {
    const axis = place._fullLayout.yaxis, found = [];
    for (const {name, visible, yaxis, close, y, line, increasing, decreasing} of place._fullData) {
      if (visible !== true || yaxis === "y2") continue;
      const values = Array.from(close ?? y), value = values.findLast(Number.isFinite);
      const rose = values.length < 2 || value >= values.at(-2);
      if (value !== undefined) found.push({name, value, color: (increasing ? (rose ? increasing : decreasing).line : line).color});
    }
    found.sort((a, b) => b.value - a.value);
    // labels that would overlap move down, and up again from the lower edge
    const places = found.map(({value}) => axis.l2p(value));
    places.forEach((at, n) => { places[n] = Math.max(at, (places[n - 1] ?? -Infinity) + 16); });
    for (let n = places.length - 1, below = axis._length + 8; n >= 0; n -= 1) below = (places[n] = Math.min(places[n], below)) - 16;
    const shown = {minimumFractionDigits: Math.max(0, digits), maximumFractionDigits: Math.max(0, digits)};
    const annotations = found.map(({name, value, color}, n) => {
      // a phone has room for a short name
      const who = found.length < 2 ? "" : `${narrow.matches ? name.split(" ")[0] : name} `;
      return {x: 1, xref: "paper", xanchor: "left", y: value, yref: "y", yshift: axis.l2p(value) - places[n], showarrow: false,
        bgcolor: color, borderpad: 1, font: {size: 11, color: "#ffffff"}, text: who + value.toLocaleString("en-US", shown).replace("-", "−")};
    });
    Plotly.relayout(place, {annotations, "margin.r": 12 + 6.2 * Math.max(0, ...annotations.map(({text}) => text.length))});
  }

  // ── how old a live price is now ──
  const age = $("age");
  if (age.dataset.asOf) {
    const minutes = Math.max(0, Math.round((Date.now() / 1000 - Number(age.dataset.asOf)) / 60));
    const words = minutes < 60 ? [minutes, "minute"] : minutes < 2880 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
    age.textContent = ` · ${words[0]} ${words[1]}${words[0] === 1 ? "" : "s"} old`;
  }
})();
