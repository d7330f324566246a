// Draws every chart of the page with uPlot, in the theme's colours, and again when theme or width change.

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const shown = new Map();

// The distance between two moments of the chart, in seconds.
const step = (data) => (data.x.length > 1 ? data.x[1] - data.x[0] : 3600);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// The day where it begins or where steps are that long, else the time of day.
function times(_, ticks, __, ___, between) {
  let last = "";
  return ticks.map((tick) => {
    const at = new Date(tick * 1000);
    if (between >= 86400) return day.format(at);
    const today = day.format(at);
    const said = today === last ? clock.format(at) : `${clock.format(at)}\n${today}`;
    last = today;
    return said;
  });
}

const SPANS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 172800, 432000, 864000];
// Seconds as people say them; the unit "span" asks for it.
const SIZES = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
function span(seconds) {
  const at = SIZES.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0";
  const [size, word] = SIZES[at];
  const rest = at + 1 < SIZES.length ? Math.floor((seconds % size) / SIZES[at + 1][0]) : 0;
  return `${Math.floor(seconds / size)} ${word}${rest ? ` ${rest} ${SIZES[at + 1][1]}` : ""}`;
}
const said = (value, unit) => (value === null || value === undefined ? "–" : unit === "span" ? span(value) : unit ? `${value} ${unit}` : value);

// A line needs two points; one without neighbours is drawn as a dot.
const alone = (chart, at, dotted) => dotted ? null
  : chart.data[at].flatMap((value, row, all) => (value != null && all[row - 1] == null && all[row + 1] == null ? [row] : []));

function options(figure, data, width) {
  const axis = { stroke: style("ink-faint"), grid: { stroke: style("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const bars = data.kind === "bars" ? uPlot.paths.bars({ size: [0.8, 24] }) : undefined;
  return {
    width,
    height: Number(figure.dataset.height),
    scales: {
      x: { range: (_, least, most) => (data.kind === "bars" ? [least - step(data) / 2, most + step(data) / 2] : [least, most]) },
      y: { range: (_, least, most) => [0, Math.max(most * 1.08, 1)] },
    },
    cursor: { points: { size: 6 } },
    padding: [null, 32, null, null], // the last time of day stands under the edge
    legend: { live: true },
    axes: [{ ...axis, values: times, space: 60 }, { ...axis, size: 56, incrs: data.unit === "span" ? SPANS : undefined, values: (_, ticks) => ticks.map((tick) => said(tick, data.unit)) }],
    series: [{ label: "Time", value: (_, at) => (at === null ? "–" : moment.format(new Date(at * 1000))) }, ...data.series.map((one) => ({
      label: one.label,
      stroke: style(one.tone),
      fill: data.kind === "bars" ? style(one.tone) : undefined,
      width: 1.75,
      paths: bars,
      points: data.kind === "bars" ? { show: false } : { size: 6, fill: style(one.tone), filter: alone },
      // Its own height, not the sum it stands on.
      value: (_, __, ___, row) => said(one.values[row], data.unit),
      spanGaps: false,
    }))],
  };
}

function stacked(data) {
  if (data.kind !== "bars") return data.series.map((one) => one.values);
  // Bars stand on each other: each is drawn down to the ground, the highest first.
  const sums = data.x.map(() => 0);
  const heights = data.series.map((one) => one.values.map((value, at) => (sums[at] += value ?? 0) || null));
  return heights;
}

function draw(figure) {
  const data = JSON.parse(figure.dataset.chart);
  const canvas = figure.querySelector(".canvas");
  if (!canvas.clientWidth) return;
  shown.get(figure)?.destroy();
  const order = data.kind === "bars" ? { ...data, series: [...data.series].reverse() } : data;
  const values = data.kind === "bars" ? stacked(data).reverse() : stacked(data);
  shown.set(figure, new uPlot(options(figure, order, canvas.clientWidth), [data.x, ...values], canvas));
}

const redraw = () => shown.forEach((_, figure) => (figure.isConnected ? draw(figure) : shown.delete(figure)));
const widths = new ResizeObserver((changes) => {
  for (const { target, contentRect } of changes) {
    const figure = target.closest("[data-chart]");
    const chart = shown.get(figure);
    if (chart && chart.width !== contentRect.width) chart.setSize({ width: contentRect.width, height: chart.height });
  }
});
const begin = (root) => root.querySelectorAll("[data-chart]").forEach((figure) => {
  draw(figure);
  widths.observe(figure.querySelector(".canvas"));
});

begin(document);
document.addEventListener("htmx:load", (event) => { if (event.detail.elt !== document.body) begin(event.detail.elt.parentElement ?? document); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
