// A sentence or two in each of many languages: the first article of the Universal Declaration of Human Rights.
#ifndef TOME_TESTS_ENGINE_TEXT_LANGUAGE_SENTENCES_DATA_H_
#define TOME_TESTS_ENGINE_TEXT_LANGUAGE_SENTENCES_DATA_H_

#include <string_view>

#include "engine/text/words/languages.h"

namespace tome {

struct LanguageSentence {
  WritingScript script;
  Language language;
  std::string_view text;
};
inline constexpr LanguageSentence kLanguageSentences[] = {
    {WritingScript::kLatin, Language::kEnglish, "All human beings are born free and equal in dignity and rights."},
    {WritingScript::kLatin, Language::kFrench,
     "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison."},
    {WritingScript::kLatin, Language::kGerman,
     "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt."},
    {WritingScript::kLatin, Language::kSpanish,
     "Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y "
     "conciencia, deben comportarse fraternalmente los unos con los otros."},
    {WritingScript::kLatin, Language::kPortuguese,
     "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. Dotados de razão e de consciência, "
     "devem agir uns para com os outros em espírito de fraternidade."},
    {WritingScript::kLatin, Language::kItalian,
     "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Essi sono dotati di ragione e di "
     "coscienza e devono agire gli uni verso gli altri in spirito di fratellanza."},
    {WritingScript::kLatin, Language::kDutch,
     "Alle mensen worden vrij en gelijk in waardigheid en rechten geboren. Zij zijn begiftigd met verstand en "
     "geweten, en behoren zich jegens elkander in een geest van broederschap te gedragen."},
    {WritingScript::kLatin, Language::kSwedish,
     "Alla människor är födda fria och lika i värde och rättigheter. De har utrustats med förnuft och samvete och "
     "bör "
     "handla gentemot varandra i en anda av gemenskap."},
    {WritingScript::kLatin, Language::kFinnish,
     "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. Heille on annettu järki ja "
     "omatunto, ja heidän on toimittava toisiaan kohtaan veljeyden hengessä."},
    {WritingScript::kLatin, Language::kHungarian,
     "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az emberek, ésszel és lelkiismerettel "
     "bírván, egymással szemben testvéri szellemben kell hogy viseltessenek."},
    {WritingScript::kLatin, Language::kTurkish,
     "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana sahiptirler ve birbirlerine "
     "karşı kardeşlik zihniyeti ile hareket etmelidirler."},
    {WritingScript::kLatin, Language::kRomanian,
     "Toate ființele umane se nasc libere și egale în demnitate și în drepturi. Ele sunt înzestrate cu rațiune și "
     "conștiință și trebuie să se comporte unele față de altele în spiritul fraternității."},
    {WritingScript::kLatin, Language::kIndonesian,
     "Semua orang dilahirkan merdeka dan mempunyai martabat dan hak-hak yang sama. Mereka dikaruniai akal dan hati "
     "nurani dan hendaknya bergaul satu sama lain dalam persaudaraan."},
    {WritingScript::kLatin, Language::kPlain,
     "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Są oni obdarzeni rozumem i "
     "sumieniem."},
    {WritingScript::kLatin, Language::kPlain,
     "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền. Mọi con người đều được tạo hóa ban "
     "cho lý trí và lương tâm."},
    {WritingScript::kCyrillic, Language::kRussian,
     "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью."},
    {WritingScript::kCyrillic, Language::kPlain,
     "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом і совістю і повинні "
     "діяти у відношенні один до одного в дусі братерства."},
    {WritingScript::kCyrillic, Language::kSerbian,
     "Сва људска бића рађају се слободна и једнака у достојанству и правима. Она су обдарена разумом и свешћу и "
     "треба "
     "једни према другима да поступају у духу братства."},
    {WritingScript::kArabic, Language::kArabic,
     "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلًا وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح "
     "الإخاء"},
    {WritingScript::kArabic, Language::kPlain,
     "تمام افراد بشر آزاد به دنیا می‌آیند و از لحاظ حقوق با هم "
     "برابرند"},
    {WritingScript::kDevanagari, Language::kHindi,
     "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।"},
};

}  // namespace tome

#endif  // TOME_TESTS_ENGINE_TEXT_LANGUAGE_SENTENCES_DATA_H_
