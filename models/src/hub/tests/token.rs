//! The token goes to the hub alone, and into no message.

use super::server::{BEARER, Fault, Server};
use super::{FILES, folder, options, quiet};
use crate::hub::{HubOptions, pull};

#[test]
fn the_token_goes_to_the_hub_alone() {
    let port = |server: &Server| -> u16 {
        server.endpoint.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    };
    for (fault, is_followed) in [(Fault::None, true), (Fault::Within, false)] {
        let (folder, store) = (folder(), Server::start(FILES, fault));
        let hub = Server::start(FILES, Fault::At(port(&store)));
        let with_token = options(folder.path(), &hub.endpoint);
        let pulled = pull("o/n", None, &with_token, &mut quiet);
        assert!(hub.requests().iter().any(|request| request.contains(BEARER)), "{:?}", hub.requests());
        assert!(!store.requests().is_empty(), "{fault:?}");
        assert!(store.requests().iter().all(|request| !request.contains(BEARER)), "{:?}", store.requests());
        assert_eq!(pulled.is_ok(), is_followed, "{fault:?}");
        if let Err(error) = pulled {
            let text = error.to_string();
            assert!(text.contains(&store.endpoint) && text.contains("the token"), "{text}");
        }
        let without_token = HubOptions { token: None, ..with_token };
        pull("o/n", None, &without_token, &mut quiet).expect("nobody is told anything");
    }
}

#[test]
fn the_token_is_in_no_message() {
    for status in [400, 401, 403, 404, 407, 418, 500] {
        let (folder, server) = (folder(), Server::start(FILES, Fault::Telling(status)));
        let error = pull("o/n", None, &options(folder.path(), &server.endpoint), &mut quiet);
        let error = error.expect_err("refused");
        let told = format!("{error} {error:?} {:?}", error.hint());
        assert!(!told.contains("secret"), "{status}: {told}");
        assert!(status != 401 || told.contains("you said"), "{told}");
    }
}
