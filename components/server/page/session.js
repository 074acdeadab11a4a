// The session of the text that was written last: the server keeps its state, so going on sends none of it again.

import { events, model, post, remove } from "./api.js";

let last = null; // {id, version, text}: the state is the one after this text

/**
 * The events of a text. One that goes on from the last text sends nothing but that; where its session is gone, or the
 * text is another one, it is sent whole, in a new session.
 */
export async function* eventsInSession(name, version, body, signal) {
  const session = last;
  last = null; // where the state is, nobody knows before the text is done
  if (session?.version === version && session.text === body.prompt) {
    try {
      return yield* written(name, session, { ...body, prompt: "" }, signal);
    } catch (error) {
      if (error.status !== 404) throw error; // it was closed because nobody used it
    }
  } else if (session !== null) close(name, session);
  yield* written(name, { id: await open(name, version, signal), version, text: body.prompt }, body, signal);
}

async function* written(name, session, body, signal) {
  let text = session.text;
  try {
    for await (const event of events(name, session.version, { ...body, session: session.id }, signal)) {
      const [kind, data] = event;
      if (kind === "piece") text += data.piece;
      // After its end, the session is at the beginning of the next document.
      if (kind === "done" && session.id) last = { ...session, text: data.finished ? "" : text };
      yield event;
    }
  } finally {
    if (last === null && session.id) close(name, session); // it was stopped, or failed
  }
}

async function open(name, version, signal) {
  try {
    return (await post(`${model(name, version)}/sessions`, {}, signal)).session;
  } catch (error) {
    if (error.status !== 429) throw error;
    return undefined; // there are too many: a text can be written without
  }
}

function close(name, session) {
  remove(`${model(name)}/sessions/${session.id}`).catch(() => {}); // it is closed some time later, anyway
}
