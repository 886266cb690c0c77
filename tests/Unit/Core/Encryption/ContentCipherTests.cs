using System.Security.Cryptography;
using AiAspire.Core.Encryption;
using CsCheck;

namespace AiAspire.Unit.CoreTests.Encryption;

public sealed class ContentCipherTests
{
    private static readonly Guid Tenant = SampleCalls.Id();
    private static readonly ContentPlace Place = new("messages", "content", SampleCalls.Id());
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(SealedBox.KeyBytes);
    private readonly ContentCipher _cipher = Cipher(Tenant, Key);

    [Fact]
    public void What_is_sealed_opens_again()
        => Gen.Select(Gen.Byte.Array[0, 300], Gen.Byte.Array[32], Gen.Byte.Array[0, 64]).Sample((text, key, associated) =>
        {
            var box = SealedBox.Seal(key, text, associated);

            Assert.Equal(text.Length + SealedBox.Overhead, box.Length);
            Assert.Equal(text, SealedBox.Open(key, box, associated));
        });

    [Fact]
    public void No_two_boxes_of_one_text_are_alike()
        => Assert.Equal(1000, Enumerable.Range(0, 1000).Select(_ => Convert.ToHexString(_cipher.Encrypt("same"u8, Place))).Distinct().Count());

    [Fact]
    public void What_is_sealed_together_opens_each_in_its_own_place()
    {
        var texts = Enumerable.Range(0, 20).Select(i => new ReadOnlyMemory<byte>(RandomNumberGenerator.GetBytes(i * 7))).ToList();
        ContentPlace[] places = [.. texts.Select(_ => Place with { RowId = SampleCalls.Id() })];

        var boxes = _cipher.EncryptAll(texts, i => places[i]);

        Assert.Equal(20, boxes.Select(b => Convert.ToHexString(b.AsSpan(5, 12))).Distinct().Count());
        for (var i = 0; i < boxes.Length; i++)
        {
            Assert.Equal(texts[i].ToArray(), _cipher.Decrypt(boxes[i], places[i]));
            Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(boxes[i], places[(i + 1) % boxes.Length]));
        }
    }

    [Fact]
    public void Every_flipped_bit_is_noticed()
    {
        var box = _cipher.Encrypt("the text of a message"u8, Place);
        for (var bit = 0; bit < box.Length * 8; bit++)
        {
            var altered = (byte[])box.Clone();
            altered[bit / 8] ^= (byte)(1 << (bit % 8));

            Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(altered, Place));
        }
    }

    [Fact]
    public void Every_shorter_or_longer_box_is_refused()
    {
        var box = _cipher.Encrypt("text"u8, Place);
        for (var length = 0; length < box.Length; length++)
        {
            var cut = box[..length];
            Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(cut, Place));
        }

        Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt([.. box, 0], Place));
    }

    [Fact]
    public void A_box_opens_only_in_its_own_place()
    {
        var box = _cipher.Encrypt("text"u8, Place);

        Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(box, Place with { Table = "jobs" }));
        Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(box, Place with { Column = "contents" }));
        Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(box, Place with { RowId = SampleCalls.Id() }));
        Assert.ThrowsAny<CryptographicException>(() => _cipher.Decrypt(box, new ContentPlace(Place.Column, Place.Table, Place.RowId)));
        Assert.ThrowsAny<CryptographicException>(() => Cipher(SampleCalls.Id(), Key).Decrypt(box, Place));
        Assert.ThrowsAny<CryptographicException>(() => Cipher(Tenant, RandomNumberGenerator.GetBytes(32)).Decrypt(box, Place));
        Assert.Equal("text"u8.ToArray(), _cipher.Decrypt(box, Place));
    }

    [Fact]
    public void A_later_version_is_refused_by_name()
    {
        var box = _cipher.Encrypt("text"u8, Place);
        Assert.Equal(1, box[0]);
        box[0] = 2;

        Assert.Contains("version 2", Assert.Throws<CryptographicException>(() => _cipher.Decrypt(box, Place)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Two_places_never_share_their_associated_data()
    {
        // Names from two letters, so that a missing separator would soon be found out.
        var names = Gen.String[Gen.OneOf('a', 'b', '\u0001', 'é'), 0, 4];
        var place = Gen.Select(names, names, Gen.Int[0, 1], Gen.Int[0, 1]);
        Gen.Select(place, place).Sample((a, b) => Assert.Equal(a == b, Bytes(a).AsSpan().SequenceEqual(Bytes(b))), iter: 20_000);

        static byte[] Bytes((string Table, string Column, int Row, int Tenant) place)
        {
            var target = new byte[AssociatedData.MaxBytes];
            return target[..AssociatedData.Write(target, Numbered(place.Tenant), new ContentPlace(place.Table, place.Column, Numbered(place.Row)))];
        }

        static Guid Numbered(int number) => new(number, 0, 0, new byte[8]);
    }

    [Fact]
    public void The_longest_names_fit_and_longer_ones_are_refused()
    {
        var longest = new string('x', 63);
        var place = new ContentPlace(longest, longest, Place.RowId);

        Assert.Equal("text"u8.ToArray(), _cipher.Decrypt(_cipher.Encrypt("text"u8, place), place));
        Assert.Throws<ArgumentException>(() => _cipher.Encrypt("text"u8, place with { Column = longest + "x" }));
        Assert.Throws<ArgumentException>(() => _cipher.Encrypt("text"u8, place with { Table = new string('é', 32) }));
    }

    private static ContentCipher Cipher(Guid tenant, byte[] key) => new(tenant, 1, [new ContentKey(1, key)]);
}
