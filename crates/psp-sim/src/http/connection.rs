//! A second handle of each connection, with which a fault closes it without a response.

use std::any::Any;
use std::net::Shutdown;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// The second handle; dropped with the connection.
struct Handle(Socket);

/// Keeps a second handle of a new connection.
pub fn keep_handle(connection: &dyn Any, data: &mut Extensions) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    match SockRef::from(stream).try_clone() {
        Ok(socket) => drop(data.insert(Handle(socket))),
        Err(error) => tracing::warn!(%error, "cannot keep a handle of the connection: faults cannot close it"),
    }
}

/// Closes the connection of `request`. A later response is not sent.
pub fn close(request: &HttpRequest) {
    let Some(Handle(socket)) = request.conn_data() else {
        return;
    };
    // Unsent data is discarded, and the peer gets a reset.
    let closed = socket.set_linger(Some(Duration::ZERO)).and_then(|()| socket.shutdown(Shutdown::Both));
    if let Err(error) = closed {
        // The client has closed it already.
        tracing::debug!(%error, "connection not closed");
    }
}
