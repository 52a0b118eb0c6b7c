// Events between the parts of the page. No part imports another for this; all import the bus.
//
//   call        a finished API call (see api.js)
//   select      {kind: 'trip' | 'offer' | 'driver' | 'rider' | 'payment' | 'request' | 'audit', id}, or null: what the inspector shows
//   proof       {state, text, more, report}: the latest audit, judged (see proof.js)
//   quiet-call  a finished call of the page itself, which polls
//   candidates  {pickup, list} of the selected trip's last match cycle, or null
//   experiment  {place, end, for_ms}: an experiment happens here; the map shows the place and keeps it marked
//   reveal      {lat, lon}: the map moves there if the place is not in view
//   world       the state of the city from the live stream (see live.js)
//   clock       {real, domain, scale}: the domain clock was read or set
//   connection  'up' | 'down': whether the service answers

export const bus = new EventTarget();

/** Dispatches an event. */
export const emit = (type, detail) => bus.dispatchEvent(new CustomEvent(type, { detail }));

/** Adds a listener and returns a function that removes it. */
export function on(type, listener) {
  const handle = (event) => listener(event.detail);
  bus.addEventListener(type, handle);
  return () => bus.removeEventListener(type, handle);
}
