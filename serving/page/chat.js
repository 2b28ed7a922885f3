// The chat page: asks, reads the events of the answer, votes. Texts are only ever set as text, never as markup.
"use strict";

const byId = (id) => document.getElementById(id);
const form = byId("form");
const question = byId("question");
const filterValue = byId("filter-value");
const key = byId("key");
const send = byId("send");

const say = (words) => { byId("status").textContent = words; };

const uuid = () => {
  if (crypto.randomUUID) return crypto.randomUUID(); // only where the page came over HTTPS or from localhost
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return Array.from(bytes, (byte, n) => ([4, 6, 8, 10].includes(n) ? "-" : "") + byte.toString(16).padStart(2, "0")).join("");
};

class Refused extends Error {}

// Sends a request; what the app refuses comes back as an error with its sentence.
async function call(path, body, accept = "application/json") {
  const headers = { Accept: accept };
  if (key.value) headers.Authorization = "Bearer " + key.value;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("The app cannot be reached. Check your connection and try again.");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    byId("key-field").hidden = false;
    key.focus();
  }
  const problem = await response.json().catch(() => ({}));
  throw new Refused(problem.error || "The app answered with status " + response.status + ".");
}

// Yields [name, data] of each server-sent event.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }));
      yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

function element(kind, text, name) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

function showSources(exchange, sources) {
  const details = exchange.querySelector(".sources");
  details.hidden = !sources.length;
  details.querySelector("summary").textContent = sources.length === 1 ? "1 source" : sources.length + " sources";
  details.querySelector("ol").replaceChildren(...sources.map((source) => {
    const item = element("li", "");
    item.append(
      element("strong", source.question),
      element("p", source.section, "section"),
      element("p", source.text),
    );
    return item;
  }));
}

function showProblem(exchange, words, again) {
  const problem = exchange.querySelector(".problem");
  const button = exchange.querySelector(".again");
  problem.textContent = words;
  problem.hidden = false;
  button.hidden = !again;
  button.onclick = again;
}

async function ask(exchange, body) {
  const answer = exchange.querySelector(".answer");
  answer.textContent = "";
  answer.hidden = false;
  answer.setAttribute("aria-busy", "true");
  exchange.querySelector(".problem").hidden = true;
  exchange.querySelector(".again").hidden = true;
  send.setAttribute("aria-disabled", "true");
  say("Looking for an answer …");
  let problem = null;
  let ended = false;
  // After a lost connection the same id is asked for again: the answer may be there. What was refused gets a new one.
  let next = body;
  try {
    for await (const [name, data] of events(await call("/api/ask", body, "text/event-stream"))) {
      if (name === "sources") showSources(exchange, data.sources);
      if (name === "answer") answer.append(answer.textContent ? data.text : data.text.trimStart());
      if (name === "restart") answer.textContent = "";
      if (name === "done") { ended = true; letVote(exchange, data.conversation_id); }
      if (name === "error") throw new Refused(data.error);
    }
    if (!ended) problem = "The connection was lost before the answer was complete.";
  } catch (error) {
    problem = error instanceof Refused || error.message.startsWith("The app") ? error.message
      : "The connection was lost before the answer was complete.";
    if (error instanceof Refused) next = { ...body, conversation_id: uuid() };
  }
  answer.setAttribute("aria-busy", "false");
  send.setAttribute("aria-disabled", "false");
  if (problem) {
    answer.hidden = !answer.textContent;
    say("");
    showProblem(exchange, problem, () => ask(exchange, next));
  } else {
    say("The answer is there.");
    answer.focus({ preventScroll: true });
  }
}

function letVote(exchange, conversationId) {
  const votes = exchange.querySelector(".votes");
  const buttons = [...votes.querySelectorAll("button")];
  const comment = exchange.querySelector(".comment");
  const text = comment.querySelector("textarea");
  text.id = "comment-" + conversationId;
  comment.querySelector("label").htmlFor = text.id;
  votes.hidden = false;
  let thumbs = 0;

  async function vote(wanted, thanks) {
    try {
      await call("/api/feedback", { conversation_id: conversationId, thumbs: wanted, comment: text.value.trim() || null });
    } catch (error) {
      showProblem(exchange, error.message, null);
      return false;
    }
    thumbs = wanted;
    exchange.querySelector(".problem").hidden = true;
    for (const button of buttons) button.setAttribute("aria-pressed", String(Number(button.dataset.thumbs) === thumbs));
    say(thanks);
    return true;
  }

  for (const button of buttons) {
    button.onclick = async () => {
      if (await vote(Number(button.dataset.thumbs), "Thank you for your vote. You can change it, or add a comment.")) {
        comment.querySelector("label").textContent = thumbs === 1 ? "What was good? (optional)" : "What was wrong? (optional)";
        comment.hidden = false;
      }
    };
  }
  comment.onsubmit = async (event) => {
    event.preventDefault();
    await vote(thumbs, "Thank you for your comment.");
  };
}

form.onsubmit = (event) => {
  event.preventDefault();
  const text = question.value.trim();
  if (!text || send.getAttribute("aria-disabled") === "true") return;
  const exchange = byId("exchange").content.firstElementChild.cloneNode(true);
  exchange.querySelector(".question").textContent = text;
  const answer = exchange.querySelector(".answer");
  answer.tabIndex = -1;
  answer.setAttribute("role", "group");
  answer.setAttribute("aria-label", "Answer");
  byId("log").append(exchange);
  question.value = "";
  exchange.scrollIntoView({ block: "start" });
  ask(exchange, { question: text, filter_value: filterValue.value, conversation_id: uuid() });
};

question.onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
};

async function listFilterValues() {
  try {
    const { filter_by: name, filter_values: values } = await (await call("/api/filter-values")).json();
    byId("filter-by").textContent = name.charAt(0).toUpperCase() + name.slice(1);
    filterValue.append(...values.map((value) => new Option(value, value)));
    byId("filter-field").hidden = !values.length;
    say("");
  } catch (error) {
    say(error.message);
  }
}

key.onchange = listFilterValues;
listFilterValues();
