//! HEAD: the response of a GET without its body (RFC 9110, 9.3.2), for every path that has a GET.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::UPGRADE;
use actix_web::middleware::Next;
use actix_web::web::Bytes;

/// Answers HEAD as GET, headers and `Content-Length` included, and drops the body. So a stream ends before its first event. A HEAD
/// never switches protocols.
///
/// # Errors
/// Errors that actix turns into a response itself.
pub async fn answer_head(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() != Method::HEAD {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let head = request.head_mut();
    head.method = Method::GET;
    head.headers.remove(UPGRADE);
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| Omitted(body.size()).boxed()))
}

/// Returns the methods of an `Allow` header with HEAD, where GET is among them.
pub(super) fn with_head(methods: &str) -> String {
    let methods = methods.split(',').map(str::trim);
    let methods: Vec<_> =
        methods.flat_map(|method| if method == "GET" { vec![method, "HEAD"] } else { vec![method] }).collect();
    methods.join(", ")
}

/// A body that is not sent. Its size is that of the GET's body.
struct Omitted(BodySize);

impl MessageBody for Omitted {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::with_head;

    #[test]
    fn head_is_allowed_where_get_is() {
        assert_eq!(with_head("GET, POST"), "GET, HEAD, POST");
        assert_eq!(with_head("DELETE,GET"), "DELETE, GET, HEAD");
        assert_eq!(with_head("POST"), "POST");
    }
}
