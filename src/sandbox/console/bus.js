// What the parts of the page tell each other. None knows another one; all know this.
//
//   call        a finished API call (see api.js)
//   select      {kind: 'trip' | 'driver' | 'rider' | 'payment', id}, or null: what the inspector shows
//   world       what the live stream says of the city (see live.js)
//   clock       {real, domain, scale}: the domain clock was read or set
//   connection  'up' | 'down': whether the service answers

export const bus = new EventTarget();

/** Tells everybody. */
export const emit = (type, detail) => bus.dispatchEvent(new CustomEvent(type, { detail }));

/** Listens; returns a function that stops listening. */
export function on(type, listener) {
  const heard = (event) => listener(event.detail);
  bus.addEventListener(type, heard);
  return () => bus.removeEventListener(type, heard);
}
