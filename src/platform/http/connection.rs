//! What holds for every connection of a client.

use std::any::Any;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
#[cfg(target_os = "linux")]
use socket2::SockRef;

/// How long a client may read nothing while data waits for it. Long enough for a phone that changes cells.
const UNREAD_MAX: Duration = Duration::from_secs(10);

/// Bounds the wait for a client that does not read, whatever is sent to it: a response, a stream of events or a WebSocket. The kernel
/// then closes the connection, and whatever writes to it ends. Only Linux has this option (`TCP_USER_TIMEOUT`).
pub fn limit_unread(connection: &dyn Any, _: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    #[cfg(target_os = "linux")]
    if let Err(error) = SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_MAX)) {
        tracing::warn!(%error, "a connection without a limit for unread data");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, UNREAD_MAX);
}
