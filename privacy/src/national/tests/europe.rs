//! Specimens that the issuers print, and what is wrong with their neighbours.

use super::{holds, none, one_check_sign, whole};
use crate::entity::Entity;

#[test]
fn united_kingdom() {
    whole(Entity::UkNhs, &["943 476 5919", "943-476-5919", "9434765919"]);
    none(Entity::UkNhs, &["943 476 5918", "943-476 5919", "0000000000", "943 4765 919"]);
    one_check_sign(Entity::UkNhs, "943 476 591?");
    whole(Entity::UkNino, &["AB 12 34 56 C", "ab123456c", "JG 103759 A"]);
    none(
        Entity::UkNino,
        &["AB 12 34 56 E", "DB123456C", "AO123456C", "GB123456C", "NT123456A", "QQ123456C", "AB-12-34-56-C"],
    );
    whole(Entity::UkDrivingLicence, &["MORGA657054SM9IJ", "JO999801010A99AB", "SMITH711307J99XX"]);
    none(
        Entity::UkDrivingLicence,
        &["MORGA613054SM9IJ", "MORGA602324SM9IJ", "MO9GA657054SM9IJ", "MORGA602304SM9IJ"],
    );
    whole(Entity::UkPassport, &["GB1234567"]);
    whole(
        Entity::UkPostcode,
        &["EC1A 1BB", "W1A 0AX", "M1 1AE", "B33 8TH", "CR2 6XH", "DN55 1PT", "gir 0aa"],
    );
    none(Entity::UkPostcode, &["QA1 1AA", "EC1A 1CB", "M1  1AE", "EC1C11BB", "AI1 1AA"]);
    whole(Entity::UkVehicleRegistration, &["BD51 SMR", "LA02XYZ", "A123 BCD", "Y1 XYV", "ABC 123D"]);
    none(
        Entity::UkVehicleRegistration,
        &["BD50 SMR", "QD51 SMR", "BD51 SQR", "BD01 SMR", "U123 BCD", "A0 BCD"],
    );
}

#[test]
fn germany() {
    whole(Entity::DeTaxId, &["86095742719", "47036892816", "65929970489", "86 095 742 719"]);
    none(Entity::DeTaxId, &["86095742718", "06095742719", "86-095-742-719", "860957427190"]);
    one_check_sign(Entity::DeTaxId, "5754928501?");
    whole(Entity::DeVatId, &["DE136695976", "DE 136695976", "DE 136 695 976"]);
    none(Entity::DeVatId, &["DE136695977", "AT136695976", "DE13669597"]);
    one_check_sign(Entity::DeVatId, "DE11111112?");
    whole(Entity::DeSocialSecurity, &["65170839J003", "65 170839 J 003", "15070649C103"]);
    none(Entity::DeSocialSecurity, &["65170839J004", "65171339J003", "651708391003", "00170839J003"]);
    one_check_sign(Entity::DeSocialSecurity, "65170839J00?");
    whole(Entity::DeHealthInsurance, &["A123456780", "T000000002"]);
    none(Entity::DeHealthInsurance, &["A123456781", "1123456780", "AA23456780"]);
    one_check_sign(Entity::DeHealthInsurance, "K98765432?");
    one_check_sign(Entity::DeLanr, "123456?01");
    none(Entity::DeLanr, &["123456600", "123456101"]);
    whole(Entity::DeIdCard, &["L01X00T47", "L01X00T471", "T220001293"]);
    none(Entity::DeIdCard, &["L01X00T472", "A01X00T47", "L01X00T4", "LO1X00T47", "L01 X00 T47"]);
    whole(Entity::DePassport, &["C01X00T47", "C01X00T478", "C01234565"]);
    none(Entity::DePassport, &["C01X00T479", "C01234566", "B01X00T47", "C01X00T4"]);
    whole(Entity::DeFuehrerschein, &["B072RRE2I55", "KO12345678A"]);
    none(Entity::DeFuehrerschein, &["12345678901", "B072RRE2I65", "KO1234567"]);
    whole(
        Entity::DeTaxNumber,
        &["93815/08152", "181/815/08155", "21/815/08150", "133/8150/8159", "013 815 08153", "2181081508155"],
    );
    none(
        Entity::DeTaxNumber,
        &["181/815 08155", "000/815/08155", "181/000/08155", "9181081508155", "2181181508155"],
    );
    whole(Entity::DeHandelsregister, &["HRB 12345", "HRA12", "hrb 1", "HRB Nr. 4711", "HRB 12345B"]);
    none(Entity::DeHandelsregister, &["HR 12345", "HRC 12345", "HRB 1234567"]);
    holds(Entity::DeHandelsregister, &[("HRB 12345 in Berlin", &["HRB 12345"])]);
    whole(Entity::DeKfz, &["B-AB 1234", "M XY 999", "KA-EF-1H", "MIL E 1234E", "HH-A1"]);
    none(Entity::DeKfz, &["is at 5", "B AB 0123", "ABCD-AB 12", "B AB 12345", "B/AB 12"]);
    holds(Entity::DeKfz, &[("Wagen LÖ-AB 12 steht da", &["LÖ-AB 12"])]);
    whole(Entity::DePlz, &["10115", "01067", "99998"]);
    none(Entity::DePlz, &["01000", "00999", "99999", "1011"]);
    whole(Entity::DeBsnr, &["021234568"]);
    none(Entity::DeBsnr, &["001234568", "02123456", "555555555"]);
}

#[test]
fn spain() {
    whole(Entity::EsNif, &["12345678Z", "12345678-Z", "12345678 z", "1111111G"]);
    none(Entity::EsNif, &["12345678A", "123456789Z", "123456Z", "12345678O"]);
    whole(Entity::EsNie, &["X1234567L", "Y1234567X", "Z1234567R", "x-1234567-l"]);
    none(Entity::EsNie, &["X1234567M", "W1234567L", "X123456L"]);
    whole(Entity::EsPassport, &["PAA123456"]);
    none(Entity::EsPassport, &["PA123456", "PAA12345"]);
}

#[test]
fn italy() {
    whole(Entity::ItFiscalCode, &["RSSMRA85T10A562S", "mrtmtt91d08f205j", "RSSMRA85T10A56NH"]);
    none(
        Entity::ItFiscalCode,
        &["RSSMRA85G10A562S", "RSSMRA85T32A562S", "RSSMRA85T00A562S", "RSSMRA85T1OA562S", "RSSMRA85T10A562"],
    );
    whole(Entity::ItVatCode, &["07643520567", "0764352_0567", "IT07643520567", "IT 07643520567"]);
    none(Entity::ItVatCode, &["07643520568", "00000000000", "0764352-0567"]);
    one_check_sign(Entity::ItVatCode, "0764352056?");
    whole(Entity::ItDriverLicense, &["MI1234567X", "U1H52G82TT", "U17K81921V"]);
    none(Entity::ItDriverLicense, &["M11234567X", "U1AEIOQ82T", "MI123456X"]);
    whole(Entity::ItIdentityCard, &["AX1234567", "AX 1234567", "1234567AA", "CA12345AB"]);
    none(Entity::ItIdentityCard, &["AX-1234567", "A1234567", "CA1234AB"]);
    whole(Entity::ItPassport, &["YA1234567"]);
}

#[test]
fn poland_and_finland() {
    whole(Entity::PlPesel, &["44051401359", "02070803628", "44051401458"]);
    none(Entity::PlPesel, &["44051401358", "44051332458", "440514-01359", "4405140135"]);
    one_check_sign(Entity::PlPesel, "4405140135?");
    whole(Entity::FiPersonalIdentityCode, &["131052-308T", "131052-308t", "010594Y9032"]);
    none(
        Entity::FiPersonalIdentityCode,
        &["131052-308U", "321052-308T", "131052G308T", "131052-3080", "131052 308T"],
    );
    // The sign of the century is no part of the sum; 29 February is: 1900 had none, 2000 did.
    holds(
        Entity::FiPersonalIdentityCode,
        &[("131052A308T", &["131052A308T"]), ("131052+308T", &["131052+308T"])],
    );
    one_check_sign(Entity::FiPersonalIdentityCode, "290200A105?");
    "0123456789ABCDEFHJKLMNPRSTUVWXY"
        .chars()
        .for_each(|sign| none(Entity::FiPersonalIdentityCode, &[&format!("290200-105{sign}")]));
}

#[test]
fn sweden() {
    whole(
        Entity::SePersonnummer,
        &["811228-9874", "8112289874", "19811228-9874", "198112289874", "121212+1212", "701063-2391"],
    );
    none(
        Entity::SePersonnummer,
        &["811228-9875", "811328-9874", "811232-9874", "811228 9874", "178112289874"],
    );
    one_check_sign(Entity::SePersonnummer, "640823-323?");
    whole(Entity::SeOrganisationsnummer, &["212000-0142", "2120000142", "556703-7485", "16556703-7485"]);
    none(Entity::SeOrganisationsnummer, &["212000-0143", "811228-9874", "4567037485", "556703 7485"]);
    one_check_sign(Entity::SeOrganisationsnummer, "202100-548?");
}
