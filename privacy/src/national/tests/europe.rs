use super::{none, whole};
use crate::entity::Entity;

#[test]
fn uk() {
    whole(Entity::UkNhs, &["401 023 2137"]);
    none(Entity::UkNhs, &["401 023 2138"]);
}
