// The status page. It only reads: api/page is what it shows, events tells when that has
// changed and what happened.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const historyLength = 200;

const $ = (id) => document.getElementById(id);

// el makes an element: el("p", "class", child, ...); text becomes text, never markup.
function el(tag, cls, ...children) {
	const e = document.createElement(tag);
	if (cls) e.className = cls;
	e.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
	return e;
}

function icon(name) {
	const svg = document.createElementNS(SVG, "svg");
	svg.setAttribute("class", "icon");
	svg.setAttribute("aria-hidden", "true");
	const use = document.createElementNS(SVG, "use");
	use.setAttribute("href", "#i-" + name);
	svg.append(use);
	return svg;
}

// What a state looks like: a shape and a colour beside its name.
const looks = {
	MASTER: "good", BACKUP: "idle", FAULT: "bad", INIT: "unknown",
	up: "good", down: "bad", sorry: "warn", unknown: "unknown",
	Up: "good", Down: "bad", Init: "warn", AdminDown: "idle",
	running: "good", "not needed": "idle", leaving: "idle", alarm: "bad", warning: "warn",
};
const look = (state) => looks[state] || "warn";
const state = (s) => el("span", "state " + look(s), icon(look(s)), s);

// Times: ages count on between two states.
function age(seconds) {
	const s = Math.max(0, Math.floor(seconds));
	if (s < 60) return s + "s";
	if (s < 3600) return Math.floor(s / 60) + "m" + String(s % 60).padStart(2, "0") + "s";
	if (s < 86400) return Math.floor(s / 3600) + "h" + String(Math.floor(s % 3600 / 60)).padStart(2, "0") + "m";
	return Math.floor(s / 86400) + "d" + Math.floor(s % 86400 / 3600) + "h";
}
let skew = 0; // of this clock to the director's, in ms
const now = () => Date.now() - skew;
function since(time) {
	const t = Date.parse(time);
	const e = el("time", "", "for " + age((now() - t) / 1000));
	e.dateTime = time;
	e.title = "since " + new Date(t).toLocaleString();
	e.dataset.since = t;
	return e;
}
function tick() {
	for (const e of document.querySelectorAll("[data-since]")) {
		const text = "for " + age((now() - Number(e.dataset.since)) / 1000);
		if (e.textContent !== text) e.textContent = text;
	}
	judgeLink();
}

// Numbers as people read them.
function count(n) {
	for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
		if (n >= 10 * size || (n >= size && unit !== "k")) return (n / size).toFixed(n < 10 * size ? 1 : 0) + unit;
	}
	return String(n);
}
const bytes = (n) => count(n) + "B";

// list brings a list of elements in line with its data. What did not change keeps its
// element, and with it what is open, selected and focused.
function list(parent, items, key, build) {
	const former = new Map([...parent.children].map((e) => [e.dataset.key, e]));
	const elements = items.map((item) => {
		const k = key(item), text = JSON.stringify(item);
		let e = former.get(k);
		if (e && e.made === text) return e;
		const next = build(item);
		next.dataset.key = k;
		next.made = text;
		if (e) keep(e, next);
		return next;
	});
	if (elements.length === parent.children.length && elements.every((e, i) => e === parent.children[i])) return;
	const focus = document.activeElement && parent.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
	const at = focus ? document.activeElement.closest("[data-key]").dataset.key : null;
	parent.replaceChildren(...elements);
	if (focus) {
		const e = elements.find((e) => e.dataset.key === at);
		const again = e && e.querySelector('[data-focus="' + focus + '"]');
		if (again && again !== document.activeElement) again.focus({ preventScroll: true });
	}
}
function keep(from, to) {
	const a = from.querySelector("details"), b = to.querySelector("details");
	if (a && b) b.open = a.open;
}

function instance(i) {
	const e = el("li", "");
	e.append(el("div", "head", el("h3", "", i.name + (i.family === "ipv6" ? " (IPv6)" : "")), el("span", "", state(i.state), " ", since(i.since))));
	const addresses = el("ul", "address");
	for (const a of i.addresses || []) {
		const line = el("li", "", a.address + " on " + a.device);
		if (a.error) line.append(el("span", "bad", " " + a.error));
		else if (i.state === "MASTER" && !a.installed) line.append(el("span", "bad", " missing"));
		addresses.append(line);
	}
	e.append(addresses);
	let owner = "owner: nobody that is heard";
	if (i.owner) owner = "owner: " + i.owner + (i.owner_priority ? ", priority " + i.owner_priority : "");
	e.append(el("p", "", owner));
	e.append(el("p", "quiet", i.interface + ", VRID " + i.vrid + (i.group ? ", group " + i.group : "") +
		", priority " + i.priority + (i.priority !== i.base_priority ? " (configured " + i.base_priority + ")" : "")));
	e.append(el("p", "", i.reason));
	if (i.held_back) e.append(el("p", "bad", icon("bad"), "does not take over: " + i.held_back));
	for (const n of i.notes || []) e.append(el("p", "warn", icon("warn"), n));
	return e;
}

function alarm(a) {
	const e = el("li", "");
	e.append(el("div", "head", el("h3", "", a.instance + ": " + a.code.replaceAll("_", " ")), el("span", "", state(a.level), " ", since(a.since))));
	e.append(el("p", "", a.reason));
	e.append(el("p", "quiet", a.count + " times on " + a.interface + ", last " + new Date(a.last).toLocaleString()));
	return e;
}

const tracker = (t) => el("li", "", state(t.state), " " + t.type + " " + t.name + " ", el("span", "quiet", t.detail || "", " ", since(t.since)));

function sparkline(s, what, unit) {
	const points = s.connections;
	const most = Math.max(...points, 0), last = points.length ? points[points.length - 1] : 0;
	const svg = document.createElementNS(SVG, "svg");
	svg.setAttribute("class", "spark");
	svg.setAttribute("viewBox", "0 0 100 24");
	svg.setAttribute("preserveAspectRatio", "none");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", "connections a second over the last " + age(s.seconds) + ": now " + last + ", at most " + most);
	if (points.length > 1) {
		const line = document.createElementNS(SVG, "polyline");
		line.setAttribute("points", points.map((n, i) => (i * 100 / (points.length - 1)).toFixed(1) + "," + (23 - (most ? n * 22 / most : 0)).toFixed(1)).join(" "));
		svg.append(line);
	}
	return svg;
}

const mark = (text) => el("span", "mark", icon("mark"), text);

function service(s) {
	const e = el("li", "");
	const details = el("details", "");
	const up = s.health.up || 0;
	const line = el("span", "line", state(s.state),
		el("span", "grow", el("span", "name", s.name), " ", el("span", "address", s.address + (s.members > 1 ? " and " + (s.members - 1) + " more" : ""))),
		el("span", "", up + " of " + s.total + " servers up"),
		el("span", "", count(s.rates.connections) + " conn/s, " + bytes(s.rates.in_bytes + s.rates.out_bytes) + "/s, " + count(s.active) + " active"),
		sparkline(s.spark));
	const summary = el("summary", "", line);
	summary.dataset.focus = "summary";
	details.append(summary);
	const why = el("p", "", since(s.since), s.reason ? ", " + s.reason : "", "; " + s.scheduler + ", " + s.forwarding + ", weight " + s.up_weight + ", quorum " + s.quorum + " ");
	for (const m of s.marks || []) why.append(mark(m), " ");
	details.append(why);
	details.append(servers(s));
	details.addEventListener("toggle", () => {
		const was = opened.has(s.name);
		if (details.open) opened.add(s.name); else opened.delete(s.name);
		if (details.open && !was && s.servers.length < s.total) refresh();
	});
	details.open = opened.has(s.name);
	e.append(details);
	return e;
}

function servers(s) {
	const box = el("div", "scroll");
	const table = el("table", "");
	table.append(el("caption", "quiet", s.servers.length < s.total ? s.servers.length + " of " + s.total + " real servers, those with problems" : "Real servers"));
	const head = el("tr", "");
	for (const [text, cls] of [["State", ""], ["Server", ""], ["Weight", "number opt"], ["Active", "number opt"], ["Conn/s", "number opt"], ["Why", ""]]) {
		const th = el("th", cls, text);
		th.scope = "col";
		head.append(th);
	}
	table.append(el("thead", "", head));
	const body = el("tbody", "");
	for (const r of s.servers) {
		const why = el("td", "", r.reason ? r.reason + " " : "");
		for (const m of r.marks || []) why.append(mark(m), " ");
		why.append(el("span", "quiet", since(r.since)));
		body.append(el("tr", "", el("td", "", state(r.health)), el("td", "address", r.name),
			el("td", "number opt", r.kernel_weight < 0 ? "-" : r.kernel_weight + (r.kernel_weight !== r.weight ? " of " + r.weight : "")),
			el("td", "number opt", count(r.active)), el("td", "number opt", count(r.rate)), why));
	}
	table.append(body);
	box.append(table);
	return box;
}

function process(p) {
	const e = el("li", "", state(p.state), " " + p.role + " ");
	if (p.pid) e.append(el("span", "quiet", "pid " + p.pid + " ", since(p.started_at)));
	if (p.restarts) e.append(el("span", "warn", " " + p.restarts + " restarts, last: " + (p.last_exit || "unknown")));
	else if (p.last_exit) e.append(el("span", "warn", " " + p.last_exit));
	return e;
}

// verdict says in a sentence how things are.
function verdict(p) {
	const e = $("verdict");
	const text = JSON.stringify([p.level, p.problems]);
	if (e.made === text) return;
	e.made = text;
	e.className = p.level;
	const say = p.level === "good" ? "Everything is well." : p.problems.length === 1 ? "One thing is not well." : p.problems.length + " things are not well.";
	const problems = el("ul", "");
	for (const b of p.problems) problems.append(el("li", "", el("span", b.level, icon(b.level)), b.text));
	e.replaceChildren(el("p", "state", el("span", p.level, icon(p.level)), say), problems);
}

function sums(farm) {
	const of = (m) => Object.keys(m).sort().map((k) => m[k] + " " + k).join(", ");
	return farm.total + " virtual servers (" + of(farm.states) + "), real servers: " + (of(farm.servers) || "none") + (farm.orders ? "; not as in the file: " + farm.orders : "");
}

function show(p) {
	skew = Date.now() - Date.parse(p.at);
	$("router").textContent = p.router_id;
	document.title = (p.level === "good" ? "" : "(!) ") + p.router_id + " - director";
	verdict(p);
	list($("alarms"), p.alarms, (a) => a.instance + a.family + a.code + (a.path || ""), alarm);
	list($("instances"), p.instances, (i) => i.name + i.family, instance);
	const tracked = p.trackers.concat(p.bfd.map((b) => ({ type: "BFD session", kind: "BFD session", name: b.name, state: b.state, since: b.since, detail: b.neighbor })));
	list($("trackers"), tracked.map((t) => ({ ...t, type: t.kind })), (t) => t.kind + t.name, tracker);
	list($("processes"), p.processes, (c) => c.role, process);
	$("config").textContent = "director " + p.version + ", configuration " + p.generation + " since " + new Date(p.loaded_at).toLocaleString();
	$("s-alarms").hidden = !p.alarms.length;
	$("s-instances").hidden = !p.instances.length;
	$("s-trackers").hidden = !tracked.length;
	$("s-farm").hidden = !p.farm;
	if (p.farm) {
		$("farm-sum").textContent = sums(p.farm);
		list($("services"), p.farm.list, (s) => s.name, service);
		const hidden = p.farm.matches - p.farm.list.length;
		$("farm-more").textContent = hidden > 0 ? hidden + " more are not shown: narrow the filter." : p.farm.matches ? "" : "None matches.";
	}
	latest = Date.now();
	staleAfter = p.stale_after_ms;
	judgeLink();
}

// What is asked for: one question at a time, the last word counts.
const opened = new Set();
let asking = false, again = false;
async function refresh() {
	if (asking) {
		again = true;
		return;
	}
	asking = true;
	try {
		do {
			again = false;
			const q = new URLSearchParams();
			if ($("filter").value) q.set("q", $("filter").value);
			for (const name of opened) q.append("open", name);
			const text = q.toString();
			const answer = await fetch("api/page" + (text ? "?" + text : ""), { cache: "no-store" });
			if (answer.ok) show(await answer.json());
		} while (again);
	} catch {
		// The stream tells when the director is there again.
	} finally {
		asking = false;
	}
}

// The history, newest first.
let shownEvents = [];
function happened(events) {
	const known = new Set(shownEvents.map(eventKey));
	shownEvents = shownEvents.concat(events.filter((e) => !known.has(eventKey(e))));
	shownEvents.sort((a, b) => Date.parse(b.time) - Date.parse(a.time) || b.seq - a.seq);
	shownEvents.length = Math.min(shownEvents.length, historyLength);
	list($("history"), shownEvents, eventKey, (e) => {
		const t = el("time", "", new Date(e.time).toLocaleString());
		t.dateTime = e.time;
		return el("li", "", t, el("span", "", e.kind + " ", el("span", "name", e.subject), " ", e.from ? e.from + " to " : "", state(e.to), e.reason ? ": " + e.reason : ""));
	});
	$("history-none").hidden = shownEvents.length > 0;
}
// Numbers begin anew when the daemon's runtime directory is.
const eventKey = (e) => e.seq + " " + e.time;
async function past() {
	try {
		const answer = await fetch("api/events?limit=" + historyLength, { cache: "no-store" });
		if (answer.ok) happened(await answer.json());
	} catch {
		// As above.
	}
}

// The link to the director.
let connected = false, latest = 0, staleAfter = 15000;
function judgeLink() {
	let text = "connecting", name = "unknown";
	if (connected && Date.now() - latest < staleAfter) [text, name] = ["live", "good"];
	else if (connected) [text, name] = ["no news for " + age((Date.now() - latest) / 1000), "bad"];
	else if (latest) [text, name] = ["not connected: as of " + age((Date.now() - latest) / 1000) + " ago", "bad"];
	const e = $("link");
	if (e.dataset.look !== name) {
		e.dataset.look = name;
		e.replaceChildren(el("span", "state " + name, icon(name)), el("span", "", ""));
		e.lastChild.id = "link-text";
	}
	if ($("link-text").textContent !== text) $("link-text").textContent = text;
}

function follow() {
	const stream = new EventSource("events");
	stream.addEventListener("open", () => {
		connected = true;
		past();
		refresh();
	});
	stream.addEventListener("state", () => {
		latest = Date.now();
		refresh();
	});
	stream.addEventListener("change", (m) => happened([JSON.parse(m.data)]));
	stream.addEventListener("lost", past);
	stream.addEventListener("error", () => {
		connected = false;
		judgeLink();
		// The browser tries again by itself, but not after an answer that is no stream.
		if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
	});
}

let typing = 0;
$("filter").addEventListener("input", () => {
	clearTimeout(typing);
	typing = setTimeout(refresh, 150);
});
setInterval(tick, 1000);
follow();
