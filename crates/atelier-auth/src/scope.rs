//! What a token's scopes open. Nothing here knows how tokens are kept.

use atelier_api::Effect;
use atelier_api::token::Scope;

/// Reads that may show a secret, in what opens a sandbox or in what lies inside: whoever may only
/// read must not see what opens more.
const SHOWS_SECRETS: &[&str] =
    &["sandbox.show", "sandbox.files", "sandbox.read", "sandbox.processes", "volume.show"];

/// What every token may ask: clients look at the build before anything else.
const ALWAYS: &[&str] = &["system.status"];

/// Whether any of the scopes opens an action.
pub(crate) fn opens(scopes: &[Scope], action: &str, effect: Effect) -> bool {
    ALWAYS.contains(&action)
        || scopes.iter().any(|scope| match scope {
            Scope::Admin => true,
            Scope::Sandboxes => of_sandboxes(action, effect),
            Scope::Read => effect == Effect::Read && !SHOWS_SECRETS.contains(&action),
        })
}

/// Sandboxes, their snapshots, volumes and secrets, templates to make them from, and looking at images. What fills
/// or empties the store of images belongs to whoever runs the control plane.
fn of_sandboxes(action: &str, effect: Effect) -> bool {
    match action.split_once('.').map_or(action, |(noun, _)| noun) {
        "sandbox" | "snapshot" | "template" | "volume" | "secret" => true,
        "image" | "runtime" => effect == Effect::Read,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_opens_its_own_and_nothing_beside_it() {
        use Effect::{Change, Read};
        for (scope, action, effect, open) in [
            (Scope::Admin, "system.stop", Change, true),
            (Scope::Sandboxes, "sandbox.create", Change, true),
            (Scope::Sandboxes, "sandbox.guest", Change, true),
            (Scope::Sandboxes, "sandbox.show", Read, true),
            (Scope::Sandboxes, "snapshot.remove", Change, true),
            (Scope::Sandboxes, "template.build", Change, true),
            (Scope::Sandboxes, "volume.remove", Change, true),
            (Scope::Sandboxes, "secret.update", Change, true),
            (Scope::Read, "secret.list", Read, true),
            (Scope::Read, "secret.update", Change, false),
            (Scope::Read, "volume.list", Read, true),
            (Scope::Read, "volume.show", Read, false),
            (Scope::Sandboxes, "image.list", Read, true),
            (Scope::Sandboxes, "image.remove", Change, false),
            (Scope::Sandboxes, "env.list", Read, false),
            (Scope::Sandboxes, "token.create", Change, false),
            (Scope::Sandboxes, "sandboxes", Change, false),
            (Scope::Read, "env.list", Read, true),
            (Scope::Read, "env.remove", Change, false),
            (Scope::Read, "sandbox.guest", Change, false),
            (Scope::Read, "sandbox.show", Read, false),
            (Scope::Read, "sandbox.read", Read, false),
            (Scope::Sandboxes, "sandbox.read", Read, true),
            (Scope::Read, "sandbox.list", Read, true),
        ] {
            assert_eq!(opens(&[scope], action, effect), open, "{scope:?} {action}");
        }
    }

    #[test]
    fn scopes_add_up_and_none_opens_nothing_but_the_status() {
        assert!(opens(&[Scope::Read, Scope::Sandboxes], "env.list", Effect::Read));
        assert!(opens(&[], "system.status", Effect::Read));
        assert!(!opens(&[], "sandbox.list", Effect::Read));
    }
}
