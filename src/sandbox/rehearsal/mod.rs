//! The rehearsal of an interview: a session against a clock, marked with evidence, kept as one file.
//!
//! [`Content`] is what the folder `rehearsal/` says, [`session`] what a candidate and a partner do, [`marking`] what it is worth,
//! [`report`] the page that stays, [`Store`] the files, [`links`] who may do what from another machine. It knows no trip and no
//! payment: what is predicted is settled by labs and by the running demo.

pub mod check;
pub mod content;
pub mod labs;
pub mod links;
pub mod marking;
pub mod page;
pub mod presence;
pub mod prompts;
pub mod report;
pub mod schedule;
pub mod session;
pub mod store;
pub mod view;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

pub use content::Content;
pub use labs::Labs;
pub use presence::Presence;
pub use store::Store;

use super::Flags;

/// What the routes of the rehearsal need.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// What can be asked.
    pub content: Arc<Content>,
    /// The sessions; `None` if the service was started without a directory for them.
    pub store: Option<Arc<Store>>,
    /// The results of labs.
    pub labs: Labs,
    /// Which partners are there.
    pub presence: Arc<Presence>,
    /// The address for partners on other machines.
    pub partner_listen: Option<SocketAddr>,
}

impl Rehearsal {
    /// Reads the embedded content.
    ///
    /// # Errors
    /// The content is invalid, which a test excludes.
    pub fn new(flags: &Flags) -> Result<Self, String> {
        let content = Content::embedded()?;
        Ok(Self {
            content: Arc::new(content),
            store: flags.rehearsal_dir.clone().map(|folder| Arc::new(Store::at(folder))),
            labs: Labs::at(flags.lab_dir.clone()),
            presence: Arc::default(),
            partner_listen: flags.partner_listen,
        })
    }

    /// The URL, without a path, at which other machines reach the links; `None` if there is no address for them.
    pub fn link_base(&self) -> Option<String> {
        let listen = self.partner_listen?;
        let own = || own_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let ip = if listen.ip().is_unspecified() { own() } else { listen.ip() };
        Some(format!("http://{}", SocketAddr::new(ip, listen.port())))
    }
}

/// The address of this machine in its network: the one that a packet to another network has. None is sent, so that the documentation's
/// network does as well as any.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}
