//! A caller's connection, held by a second handle, so that a fault can close it without an answer.

use std::any::Any;
use std::net::Shutdown;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// The second handle; dropped with the connection.
struct Handle(Socket);

/// Takes hold of a new connection.
pub fn take(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    match SockRef::from(stream).try_clone() {
        Ok(socket) => drop(data.insert(Handle(socket))),
        Err(error) => tracing::warn!(%error, "a connection that no fault can close"),
    }
}

/// Closes the connection that `request` came by. What is answered to it afterwards, nobody hears.
pub fn close(request: &HttpRequest) {
    let Some(Handle(socket)) = request.conn_data() else {
        return;
    };
    // What is still to be sent is thrown away, and the peer gets a reset after the end.
    let closed = socket.set_linger(Some(Duration::ZERO)).and_then(|()| socket.shutdown(Shutdown::Both));
    if let Err(error) = closed {
        // Whoever sent the request has gone already.
        tracing::debug!(%error, "not closed");
    }
}
