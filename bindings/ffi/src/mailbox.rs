//! Leaves messages in a store that another process drives: for widgets and extensions.

use std::path::Path;
use std::sync::Arc;

use crate::callbacks::StoreKeyProvider;
use crate::error::Result;
use crate::message::Outgoing;

/// A slot in the store's door.
#[derive(uniffi::Object)]
pub struct Mailbox(homing::Mailbox);

#[uniffi::export]
impl Mailbox {
    /// Of a store that exists; a key for an encrypted one. Blocks while it opens the file.
    #[uniffi::constructor]
    pub fn open(store: String, key: Option<Arc<dyn StoreKeyProvider>>) -> Result<Arc<Self>> {
        let store = Path::new(&store);
        let mailbox = match key {
            #[cfg(feature = "encryption")]
            Some(key) => homing::Mailbox::open_with_key(store, crate::callbacks::store_key(key)?)?,
            #[cfg(not(feature = "encryption"))]
            Some(_) => return Err(crate::callbacks::no_encryption()),
            None => homing::Mailbox::open(store)?,
        };
        Ok(Arc::new(Self(mailbox)))
    }

    /// Leaves a message; it is on disk when this returns, and published when the store is driven. Blocks for a commit.
    pub fn post(&self, message: Outgoing) -> Result<()> {
        Ok(self.0.post(message.translate()?)?)
    }
}
