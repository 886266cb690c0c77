using System.Security.Cryptography;
using AiAspire.Core.Encryption;

namespace AiAspire.Unit.CoreTests.Encryption;

public sealed class KeyVersionTests
{
    private static readonly Guid Tenant = Guid.Parse("0190a000-0000-7000-8000-00000000000a");
    private static readonly ContentPlace Place = new("messages", "content", Guid.Parse("0190a000-0000-7000-8000-00000000000b"));
    private static readonly ContentKey First = new(1, RandomNumberGenerator.GetBytes(32));
    private static readonly ContentKey Second = new(2, RandomNumberGenerator.GetBytes(32));

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public void The_frame_is_laid_out_as_documented()
    {
        var box = new ContentCipher(Tenant, 2, [First, Second]).Encrypt("text"u8, Place);

        Assert.Equal([1, 0, 0, 0, 2], box[..5]);
        Assert.Equal(1 + 4 + 12 + "text".Length + 16, box.Length);
        Assert.Equal(2, ContentCipher.KeyVersionOf(box));
        // The same bytes, opened with the platform's own AES-GCM and associated data written out by hand.
        byte[] authenticated =
        [
            .. box[..5], .. Tenant.ToByteArray(bigEndian: true), .. Place.RowId.ToByteArray(bigEndian: true),
            8, .. "messages"u8, 7, .. "content"u8,
        ];
        using var aes = new AesGcm(Second.Bytes, 16);
        var text = new byte[4];
        aes.Decrypt(box.AsSpan(5, 12), box.AsSpan(17, 4), box.AsSpan(21), text, authenticated);
        Assert.Equal("text"u8, text);
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public void After_a_rotation_new_content_takes_the_new_key_and_old_content_stays_readable()
    {
        var old = new ContentCipher(Tenant, 1, [First]).Encrypt("old"u8, Place);
        var rotated = new ContentCipher(Tenant, 2, [First, Second]);
        var young = rotated.Encrypt("new"u8, Place);

        Assert.Equal("old"u8, rotated.Decrypt(old, Place));
        Assert.Equal("new"u8, rotated.Decrypt(young, Place));
        Assert.Contains("no version 2", Assert.Throws<CryptographicException>(() => new ContentCipher(Tenant, 1, [First]).Decrypt(young, Place)).Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public void The_key_version_in_the_header_is_authenticated()
    {
        // Both versions hold the same key, so that nothing but the header can tell them apart.
        var cipher = new ContentCipher(Tenant, 1, [First, First with { Version = 2 }]);
        var box = cipher.Encrypt("text"u8, Place);
        box[4] = 2;

        Assert.Throws<AuthenticationTagMismatchException>(() => cipher.Decrypt(box, Place));
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public void A_content_row_is_part_of_what_is_authenticated()
    {
        var cipher = new ContentCipher(Tenant, 1, [First]);
        var box = cipher.Encrypt("text"u8, Place);

        Assert.Throws<AuthenticationTagMismatchException>(() => cipher.Decrypt(box, Place with { RowId = Guid.Parse("0190a000-0000-7000-8000-00000000000c") }));
    }

    [Fact]
    [Trait("Checklist", "PRIV-04")]
    public void A_wrapped_user_key_opens_only_as_its_own_user_and_version()
    {
        var tenantKey = RandomNumberGenerator.GetBytes(32);
        var user = Place.RowId;
        var wrapped = UserKeyRow.Seal(tenantKey, 3, Tenant, user, 1, First.Bytes);
        var row = new UserKeyRow(Tenant, user, 1, wrapped, Active: true);

        Assert.Equal(3, row.TenantKeyVersion);
        Assert.Equal(First.Bytes, row.Open(tenantKey));
        Assert.Throws<AuthenticationTagMismatchException>(() => (row with { Version = 2 }).Open(tenantKey));
        Assert.Throws<AuthenticationTagMismatchException>(() => (row with { UserId = Tenant }).Open(tenantKey));
        Assert.Throws<AuthenticationTagMismatchException>(() => (row with { TenantId = user }).Open(tenantKey));
    }
}
