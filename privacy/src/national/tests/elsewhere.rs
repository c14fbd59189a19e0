//! Specimens that the issuers print, and what is wrong with their neighbours.

use super::{holds, none, one_check_sign, whole};
use crate::entity::Entity;

#[test]
fn united_states() {
    whole(
        Entity::UsSsn,
        &["536-90-4399", "536 90 4399", "536.90.4399", "536904399", "536-904399", "53690-4399"],
    );
    none(
        Entity::UsSsn,
        &[
            "000-12-3456",
            "666-12-3456",
            "900-12-3456",
            "536-00-4399",
            "536-90-0000",
            "536-90.4399",
            "078-05-1120",
        ],
    );
    whole(Entity::UsItin, &["912-70-1234", "912 65 1234", "912701234", "912-991234"]);
    none(Entity::UsItin, &["812-70-1234", "912-69-1234", "912-93-1234", "912-49-1234", "912-70 1234"]);
    whole(Entity::UsPassport, &["C12345678", "123456789"]);
    whole(
        Entity::UsDriverLicense,
        &["D1234567", "S12345678901234", "123AB4567", "AB123456C", "A123456R", "12ABC34567", "123456789A"],
    );
    none(Entity::UsDriverLicense, &["ABCDEFGH", "12345", "123456789012345"]);
    whole(Entity::UsBankNumber, &["12345678", "12345678901234567"]);
    none(Entity::UsBankNumber, &["1234567", "123456789012345678"]);
    whole(Entity::UsMbi, &["1EG4-TE5-MK72", "1EG4TE5MK72"]);
    none(
        Entity::UsMbi,
        &["0EG4-TE5-MK72", "1BG4-TE5-MK72", "1EG4-TE5MK72", "1EG4 TE5 MK72", "1EG4-TE5-M172"],
    );
    whole(Entity::UsNpi, &["1234567893", "1234-567-893", "1245319599"]);
    none(Entity::UsNpi, &["1234567894", "3234567893", "1234-567 893"]);
    one_check_sign(Entity::UsNpi, "124531959?");
    whole(Entity::AbaRoutingNumber, &["021000021", "011401533", "1210-0035-8"]);
    none(Entity::AbaRoutingNumber, &["021000022", "131000021", "500000005", "0210-0002 1"]);
    one_check_sign(Entity::AbaRoutingNumber, "12100035?");
    whole(Entity::MedicalLicense, &["AB1234563", "F91234563"]);
    none(Entity::MedicalLicense, &["AB1234564", "IB1234563", "A81234563", "AB123456"]);
    one_check_sign(Entity::MedicalLicense, "BB138856?");
}

#[test]
fn india() {
    whole(Entity::InAadhaar, &["2341 2341 2346", "2341-2341-2346", "234123412346"]);
    none(Entity::InAadhaar, &["2341 2341 2347", "1341 2341 2346", "2341 2341-2346", "23412341234"]);
    one_check_sign(Entity::InAadhaar, "3123 4567 890?");
    whole(Entity::InGstin, &["27AAPFU0939F1ZV", "29AAGCB7383J1Z4", "38AAPFU0939F1ZS", "27ABCDE1234F1Z5"]);
    none(
        Entity::InGstin,
        &["38AAPFU0939F1ZV", "00AAPFU0939F1ZV", "27AAPFU0939F1YV", "27AAPFU0939F0ZV", "27AAPFU0939F1Z"],
    );
    whole(Entity::InPan, &["AAPFU0939F", "ABCPE1234F", "abcxe1234f"]);
    none(Entity::InPan, &["AAPF10939F", "AAPFU093F", "AAPFU-0939F"]);
    whole(Entity::InPassport, &["J8369854", "A12 34567"]);
    none(Entity::InPassport, &["Q8369854", "J0369854", "J8369850"]);
    whole(Entity::InVehicleRegistration, &["KA01AB1234", "DL 3C AB 1234", "22BH1234AA", "77CD12", "MCX1243"]);
    none(Entity::InVehicleRegistration, &["KA01AB0000", "22BH1234II", "KA01AB12345", "7CD0"]);
    whole(Entity::InVoter, &["ABC1234567", "AB/12/123/123456"]);
    none(Entity::InVoter, &["AB1234567", "ABC123456"]);
}

#[test]
fn korea() {
    whole(Entity::KrRrn, &["800101-1234560", "8001011234560", "210101-3123456"]);
    none(
        Entity::KrRrn,
        &["801301-1234560", "800132-1234560", "800101-5234560", "800101 1234560", "010229-3123456"],
    );
    whole(Entity::KrFrn, &["911124-5678906", "000505-7637892"]);
    none(Entity::KrFrn, &["911124-1678906", "911324-5678906"]);
    whole(Entity::KrBrn, &["220-81-62517", "2208162517"]);
    none(Entity::KrBrn, &["220-81-62518", "220-8162517", "000-00-00000"]);
    one_check_sign(Entity::KrBrn, "124-81-0099?");
    whole(Entity::KrDriverLicense, &["11-22-123456-12", "28 22 123456 12", "112212345612"]);
    none(Entity::KrDriverLicense, &["10-22-123456-12", "29-22-123456-12", "11-22 123456-12"]);
    whole(Entity::KrPassport, &["M123A4567", "M12345678"]);
    none(Entity::KrPassport, &["X123A4567", "M12A34567", "M1234567"]);
    // Particles are written on: no space is to be waited for.
    holds(Entity::KrPassport, &[("여권번호는 M123A4567입니다", &["M123A4567"])]);
}

#[test]
fn australia_canada_and_singapore() {
    whole(Entity::AuAbn, &["51 824 753 556", "51824753556", "51-824-753-556"]);
    none(Entity::AuAbn, &["51 824 753 557", "51 824-753 556", "01 824 753 556"]);
    whole(Entity::AuAcn, &["000 000 019", "000000019", "004 085 616"]);
    none(Entity::AuAcn, &["000 000 018", "000 000-019"]);
    one_check_sign(Entity::AuAcn, "004 085 61?");
    whole(Entity::AuTfn, &["123 456 782", "123456782"]);
    none(Entity::AuTfn, &["123 456 783", "000 000 000", "123-456 782"]);
    whole(Entity::AuMedicare, &["2123 45670 1", "2123456701", "2428 77813 2"]);
    none(Entity::AuMedicare, &["2123 45671 1", "1123 45670 1", "2123-45670 1"]);
    whole(Entity::CaSin, &["046 454 286", "130-692-544", "130692544"]);
    none(Entity::CaSin, &["046 454 287", "046-454 286", "046454 286", "000 000 000", "820 000 008"]);
    one_check_sign(Entity::CaSin, "130-692-54?");
    whole(Entity::SgNricFin, &["S1234567D", "T0512345C", "F1234567N", "G1234567X", "M1234567K", "A1234567Z"]);
    none(Entity::SgNricFin, &["S123456D", "SS1234567D", "S12345678D"]);
    whole(Entity::SgUen, &["00192200M", "197401143C", "S16FC0121D", "T01FC6132D", "53125226D"]);
    none(Entity::SgUen, &["00192200N", "197401143D", "S16FC0121E", "U16FC0121D", "999901143C"]);
}

#[test]
fn others() {
    whole(Entity::ThTnin, &["1520000000004", "4567890123459", "1-5200-00000-00-4"]);
    none(Entity::ThTnin, &["1520000000005", "0520000000004", "1111111111111", "152-0000-00000-04"]);
    one_check_sign(Entity::ThTnin, "310170020703?");
    whole(Entity::TrNationalId, &["10000000146", "19191919190"]);
    none(Entity::TrNationalId, &["10000000145", "00000000146", "10000001046"]);
    one_check_sign(Entity::TrNationalId, "1000000014?");
    whole(Entity::TrLicensePlate, &["34 ABC 123", "06AB1234", "81 A 12345"]);
    none(Entity::TrLicensePlate, &["82 ABC 123", "00 ABC 123", "34 AWC 123", "34 ABC 12345"]);
    whole(Entity::TrPhoneNumber, &["0532 123 45 67", "0 (212) 123 45 67", "5321234567"]);
    holds(Entity::TrPhoneNumber, &[("Ara: +90 532 123 45 67.", &["+90 532 123 45 67"])]);
    none(Entity::TrPhoneNumber, &["0632 123 45 67", "632 123 4567"]);
    whole(Entity::ZaIdNumber, &["8001015009087", "800101 5009 087"]);
    none(Entity::ZaIdNumber, &["8001015009088", "8013015009087", "8001015009387"]);
    one_check_sign(Entity::ZaIdNumber, "800101500908?");
    one_check_sign(Entity::NgNin, "1234567890?");
    whole(Entity::NgVehicleRegistration, &["ABC-123DE", "ABC 123 DE", "ABC123DE"]);
    none(Entity::NgVehicleRegistration, &["AB-123DE", "ABC-12DE", "ABC-1234DE"]);
    whole(Entity::PhMobileNumber, &["09171234567", "0917 123 4567", "0 (917) 123-4567", "639171234567"]);
    holds(Entity::PhMobileNumber, &[("tel. +63 917 123 4567", &["+63 917 123 4567"])]);
    none(Entity::PhMobileNumber, &["9171234567", "0817 123 4567", "0917 123 456"]);
    whole(Entity::PhTin, &["000-123-456-000", "000 123 456", "000-123-456-00001"]);
    none(Entity::PhTin, &["000-123-457-000", "000123456000", "000-000-000", "000-123 456"]);
    one_check_sign(Entity::PhTin, "239-391-42?-000");
}
