"use strict";
// The dashboard: asks /api/stats every two seconds while somebody looks, and shows it. Whatever comes from there is put
// in as text, never as markup: clients choose the names of models.

const EVERY = 2000;
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
let key = sessionStorage.getItem("llm-link-key") || "";
let timer = 0;

// ---------------------------------------------------------------------------------------------- words for numbers

const none = "–";
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function seconds(value) {
  if (value === null || value === undefined) return none;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 100) return `${value.toFixed(1)} s`;
  return span(value);
}

function span(value) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => value >= size);
  if (first < 0) return "0 s";
  const [unit, size] = units[first];
  const rest = units[first + 1];
  const more = rest ? Math.floor((value % size) / rest[1]) : 0;
  return `${Math.floor(value / size)} ${unit}${more ? ` ${more} ${rest[0]}` : ""}`;
}

function bytes(value) {
  return value < 1024 ? `${value} B` : value < 1048576 ? `${(value / 1024).toFixed(1)} KiB` : `${(value / 1048576).toFixed(1)} MiB`;
}

function dollars(value) {
  return value === null ? none : value === 0 ? "$0" : value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

function percent(value) {
  return value === null ? none : `${(value * 100).toFixed(value < 0.1 && value > 0 ? 1 : 0)} %`;
}

// ---------------------------------------------------------------------------------------------- elements

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) if (value) made.setAttribute(attribute, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function shape(name, attributes, title) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  if (title !== undefined) {
    const said = document.createElementNS(SVG, name === "text" ? "tspan" : "title");
    said.textContent = title;
    made.append(said);
  }
  return made;
}

function link(address, text) {
  return address && /^https?:\/\//.test(address)
    ? element("a", { href: address, target: "_blank", rel: "noreferrer" }, text)
    : text;
}

function tile(title, value, more, alarm) {
  const rows = more ? element("dd", { class: "more" }, more) : null;
  return element("dl", { class: alarm ? "tile alarm" : "tile" }, element("dt", {}, title), element("dd", {}, value), rows);
}

// ---------------------------------------------------------------------------------------------- charts

const WIDE = 360, HIGH = 120, TOP = 16, FOOT = 16;

function slots(stats) {
  const size = stats.slot_seconds, last = Math.floor(stats.time / size) * size;
  const known = new Map(stats.slots.map((point) => [point.time, point]));
  const nothing = { requests: 0, errors: 0, input: 0, output: 0, first_p50: null, total_p50: null, total_p95: null };
  return Array.from({ length: 60 }, (_, n) => {
    const time = last - (59 - n) * size;
    return { time, ...(known.get(time) || nothing) };
  });
}

function chart(id, points, most, label, say, draw) {
  const svg = shape("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  const width = WIDE / points.length, base = HIGH - FOOT, room = base - TOP;
  svg.append(shape("line", { class: "axis", x1: 0, x2: WIDE, y1: base, y2: base }));
  draw(svg, (n) => n * width, width, (value) => (most ? (value / most) * room : 0), base);
  points.forEach((point, n) => {
    const when = new Date(point.time * 1000).toLocaleTimeString([], CLOCK);
    svg.append(shape("rect", { class: "hit", x: n * width, width, y: TOP, height: room }, `${when}: ${say(point)}`));
  });
  $(id).replaceChildren(svg, element("div", { class: "count" }));
  const note = $(id).lastChild;
  note.textContent = `30 min … now; at most ${label.split(": ")[1]}`;
}

function bars(id, points, label, parts, say) {
  const most = Math.max(0, ...points.map((point) => parts.reduce((sum, [, of]) => sum + of(point), 0)));
  chart(id, points, most, label(most), say, (svg, left, width, tall, base) => {
    points.forEach((point, n) => {
      let top = base;
      for (const [kind, of] of parts) {
        const height = tall(of(point));
        if (!height) continue;
        top -= height;
        svg.append(shape("rect", { class: kind, x: left(n) + 0.5, width: width - 1, y: top, height }));
      }
    });
  });
}

function lines(id, points, label, parts, say) {
  const most = Math.max(0, ...points.flatMap((point) => parts.map(([, of]) => of(point) || 0)));
  chart(id, points, most, label(most), say, (svg, left, width, tall, base) => {
    for (const [kind, of] of parts) {
      let path = "", begun = false;
      points.forEach((point, n) => {
        const value = of(point);
        if (value === null) { begun = false; return; }
        const x = left(n) + width / 2, y = base - tall(value);
        path += `${begun ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
        begun = true;
        svg.append(shape("circle", { class: kind, cx: x, cy: y, r: 2 }));
      });
      if (path) svg.append(shape("path", { class: kind, d: path, "vector-effect": "non-scaling-stroke" }));
    }
  });
}

// ---------------------------------------------------------------------------------------------- the page

function showTiles(stats) {
  const { totals, first, total } = stats, tokens = totals.tokens;
  const minute = stats.slots.filter((point) => point.time > stats.time - 60 - stats.slot_seconds);
  const lately = minute.reduce((sum, point) => sum + point.requests, 0);
  const all = (times) => `p95 ${seconds(times.p95)}, p99 ${seconds(times.p99)}`;
  const failed = totals.requests ? totals.errors / totals.requests : null;
  $("tiles").replaceChildren(
    tile("Running", whole.format(stats.in_flight), `${whole.format(lately)} in the last minute`),
    tile("Requests", whole.format(totals.requests), `${whole.format(totals.attempts)} attempts, ${whole.format(totals.failovers)} went to another target`),
    tile("First token, p50", seconds(first.p50), all(first)),
    tile("Total, p50", seconds(total.p50), all(total)),
    tile("Tokens in", short.format(tokens.input + tokens.cache_read + tokens.cache_write), `${short.format(tokens.output + tokens.reasoning)} out, ${short.format(tokens.reasoning)} of them reasoning`),
    tile("Cache hits", percent(totals.cache_hit_ratio), `${short.format(tokens.cache_read)} tokens read from caches`),
    tile("Cost, at most", totals.cost || !totals.unpriced ? dollars(totals.cost) : none, totals.unpriced ? `${whole.format(totals.unpriced)} without a price` : ""),
    tile("Errors", whole.format(totals.errors), `${percent(failed)}; ${whole.format(totals.cancelled)} hung up`, failed > 0.05),
  );
}

function showCharts(stats) {
  const points = slots(stats), size = stats.slot_seconds;
  bars("chart-requests", points, (most) => `requests in ${size} seconds: ${whole.format(most)} in ${size} s`,
    [["ok", (point) => point.requests - point.errors], ["bad", (point) => point.errors]],
    (point) => `${point.requests} requests, ${point.errors} in error`);
  lines("chart-times", points, (most) => `median times: ${seconds(most)}`,
    [["total", (point) => point.total_p50], ["first", (point) => point.first_p50]],
    (point) => `first ${seconds(point.first_p50)}, total ${seconds(point.total_p50)}, p95 ${seconds(point.total_p95)}`);
  bars("chart-tokens", points, (most) => `output tokens a second: ${short.format(most)} a second`,
    [["out", (point) => point.output / size]],
    (point) => `${short.format(point.output)} out, ${short.format(point.input)} in`);
}

const HEALTH = { ok: ["good", "✓ ok"], failing: ["warn", "! no answer lately"], cooling: ["bad", "✕ cooling down"], unused: ["none", "not asked yet"] };

function showUpstreams(rows) {
  $("upstreams").replaceChildren(...rows.map((row) => {
    const [kind, text] = HEALTH[row.status];
    const wait = row.cooldown_seconds ? ` for ${seconds(row.cooldown_seconds)}` : "";
    const space = row.namespace === "default" ? "" : ` (${row.namespace})`;
    return element("li", {},
      element("strong", {}, row.name + space),
      element("span", { class: `mark ${kind}` }, text + wait),
      element("small", {}, `${row.protocol}, ${row.address}`),
      element("small", {}, `${row.in_flight} running, answers begin after ${seconds(row.first_byte_seconds)}`));
  }));
}

function cell(kind, ...children) {
  return element("td", { class: kind }, ...children);
}

function showLive(stats) {
  $("live-count").textContent = stats.in_flight > stats.live.length ? `the newest ${stats.live.length} of ${stats.in_flight}` : "";
  $("live-empty").hidden = stats.live.length > 0;
  $("live").tBodies[0].replaceChildren(...[...stats.live].reverse().map((row) => element("tr", {},
    cell("", link(row.link, row.model || none), element("small", { class: "under" }, row.target)),
    cell("wide", row.target || none),
    cell("wide", row.protocol),
    cell("n wide", String(row.attempts)),
    cell("n wide", bytes(row.bytes)),
    cell("n", seconds(row.seconds)))));
}

function status(row) {
  if (row.cancelled) return element("span", { class: "mark none" }, "hung up");
  const bad = row.error || !row.status || row.status >= 400;
  return element("span", { class: `mark ${bad ? "bad" : "good"}` }, bad ? `✕ ${row.status || ""}` : `✓ ${row.status}`);
}

function showRecent(rows) {
  $("recent-empty").hidden = rows.length > 0;
  $("recent").tBodies[0].replaceChildren(...rows.map((row) => {
    const { input = 0, cache_read = 0, cache_write = 0, output = 0, reasoning = 0 } = row.tokens;
    const count = (value) => (Object.keys(row.tokens).length ? whole.format(value) : none);
    const when = new Date((row.started + row.seconds) * 1000).toLocaleTimeString([], CLOCK);
    const more = row.attempts > 1 ? ` (${row.attempts} tries)` : "";
    return element("tr", {},
      cell("when", when),
      cell("status", status(row)),
      cell("", link(row.link, row.model || none), element("small", { class: "under" }, row.target + more),
        row.error ? element("small", {}, row.error) : null),
      cell("wide", (row.target || none) + more),
      cell("wide", row.protocol),
      cell("n wide", seconds(row.first_seconds)),
      cell("n", seconds(row.seconds)),
      cell("n wide", count(input + cache_read + cache_write)),
      cell("n wide", count(cache_read)),
      cell("n wide", count(output + reasoning)),
      cell("n wide", dollars(row.cost)));
  }));
}

function show(stats) {
  $("about").textContent = `${stats.version}, up ${span(stats.uptime_seconds)}`;
  $("metrics").hidden = key !== ""; // a link cannot carry it
  const web = $("mitmweb");
  web.hidden = !stats.mitmweb;
  if (stats.mitmweb && /^https?:\/\//.test(stats.mitmweb)) web.href = stats.mitmweb;
  showTiles(stats);
  showCharts(stats);
  showUpstreams(stats.upstreams);
  showLive(stats);
  showRecent(stats.recent);
}

// ---------------------------------------------------------------------------------------------- asking

function state(kind, text) {
  $("state").className = kind;
  if ($("state").textContent !== text) $("state").textContent = text;
}

function askForKey(said) {
  $("door").hidden = false;
  $("page").hidden = true;
  $("wrong").textContent = said;
  state("", "waiting for a key");
  $("key").focus();
}

async function poll() {
  clearTimeout(timer);
  let again = true;
  try {
    const response = await fetch("/api/stats", { headers: key ? { authorization: `Bearer ${key}` } : {}, cache: "no-store" });
    const said = await response.json();
    if (response.status === 401) {
      again = false;
      askForKey(key ? said.error.message : "");
    } else if (!response.ok) {
      state("bad", said.error.message);
    } else {
      $("door").hidden = true;
      $("page").hidden = false;
      show(said);
      state("ok", "live");
    }
  } catch (error) {
    state("bad", "LLM Link does not answer");
  }
  if (again && !document.hidden) timer = setTimeout(poll, EVERY);
}

$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("llm-link-key", key);
  $("key").value = "";
  poll();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();
