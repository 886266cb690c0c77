using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using AiAspire.Core.Audit;
using AiAspire.Core.Data;
using Npgsql;

namespace AiAspire.Core.Encryption;

/// <summary>
/// The keys with which web pages protect cookies and tokens (ASP.NET Core Data Protection), shared by all replicas. They lie in the key
/// store, as the XML that Data Protection makes, with the secret in it sealed by the master key:
/// <c>&lt;sealed id="…" masterKey="local:…"&gt;BASE64&lt;/sealed&gt;</c>.
/// </summary>
public sealed class DataProtectionKeys
{
    private const string SealedName = "sealed";
    private readonly NpgsqlDataSource _keyStore;
    private readonly IMasterKey _masterKey;
    private readonly KeyAudit _audit;
    private readonly TimeProvider _time;

    internal DataProtectionKeys(NpgsqlDataSource keyStore, IMasterKey masterKey, KeyAudit audit, TimeProvider time)
        => (_keyStore, _masterKey, _audit, _time) = (keyStore, masterKey, audit, time);

    public async Task<IReadOnlyList<string>> ReadAsync(CancellationToken cancellationToken)
    {
        await using var connection = await _keyStore.OpenConnectionAsync(cancellationToken);
        return [.. (await RowsAsync(connection, cancellationToken)).Select(r => r.Xml)];
    }

    /// <summary>Adds an element that Data Protection made: a key, or a revocation.</summary>
    /// <exception cref="InvalidOperationException">It has a secret that was not sealed.</exception>
    public Task AddAsync(string friendlyName, XElement element, CancellationToken cancellationToken)
    {
        // Data Protection marks what its encryptor has to take out; that it did must not be taken on trust.
        if (element.DescendantsAndSelf().Any(e => e.Attributes().Any(a => a.Name.LocalName == "requiresEncryption" && (bool)a)))
            throw new InvalidOperationException($"The Data Protection key '{friendlyName}' is not encrypted and is not stored.");
        var operation = new KeyOperation(TenantScope.PlatformTenantId, AuditActions.DataProtectionKeyCreate, "data_protection_key", friendlyName);
        return _audit.RecordAsync(
            operation,
            async token =>
            {
                await using var connection = await _keyStore.OpenConnectionAsync(token);
                await using var insert = KeyStoreBatch.OfAll(connection).Add(
                    "INSERT INTO keystore.data_protection_keys (key_id, friendly_name, xml, created_at) VALUES ($1, $2, $3, now())",
                    KeyStoreBatch.Id(_time.NewId()), KeyStoreBatch.Text(friendlyName), KeyStoreBatch.Text(element.ToString(SaveOptions.DisableFormatting)));
                await insert.ExecuteNonQueryAsync(token);
                return (true, (JsonObject?)null);
            },
            cancellationToken);
    }

    /// <summary>Seals an element's whole text.</summary>
    public async Task<XElement> SealAsync(XElement secret, CancellationToken cancellationToken)
    {
        var text = Encoding.UTF8.GetBytes(secret.ToString(SaveOptions.DisableFormatting));
        var element = await SealAsync(_time.NewId().ToString("n"), text, cancellationToken);
        CryptographicOperations.ZeroMemory(text);
        return element;
    }

    /// <exception cref="CryptographicException">Altered, or sealed by a master key that is not given any more.</exception>
    public async Task<XElement> OpenAsync(XElement element, CancellationToken cancellationToken)
        => XElement.Parse(Encoding.UTF8.GetString(await OpenBytesAsync(element, cancellationToken)));

    /// <summary>Seals anew what an earlier master key sealed.</summary>
    /// <returns>How many keys that were.</returns>
    internal async Task<int> RewrapAsync(NpgsqlConnection connection, string currentMasterKeyId, CancellationToken cancellationToken)
    {
        var rewrapped = 0;
        foreach (var (id, xml) in await RowsAsync(connection, cancellationToken))
        {
            var element = XElement.Parse(xml, LoadOptions.PreserveWhitespace);
            var old = element.DescendantsAndSelf(SealedName).Where(e => (string?)e.Attribute("masterKey") != currentMasterKeyId).ToList();
            if (old.Count == 0)
                continue;
            foreach (var part in old)
                part.ReplaceWith(await SealAsync((string)part.Attribute("id")!, await OpenBytesAsync(part, cancellationToken), cancellationToken));
            await using var update = KeyStoreBatch.OfAll(connection).Add(
                "UPDATE keystore.data_protection_keys SET xml = $2 WHERE key_id = $1 AND xml = $3",
                KeyStoreBatch.Id(id), KeyStoreBatch.Text(element.ToString(SaveOptions.DisableFormatting)), KeyStoreBatch.Text(xml));
            rewrapped += await update.ExecuteNonQueryAsync(cancellationToken);
        }

        return rewrapped;
    }

    private static async Task<List<(Guid Id, string Xml)>> RowsAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        await using var select = KeyStoreBatch.OfAll(connection).Add("SELECT key_id, xml FROM keystore.data_protection_keys ORDER BY key_id");
        return await select.ReadLastAsync(row => (row.GetGuid(0), row.GetString(1)), cancellationToken);
    }

    private async Task<XElement> SealAsync(string id, byte[] text, CancellationToken cancellationToken)
    {
        var wrapped = await _masterKey.WrapAsync(text, Place(id), cancellationToken);
        return new XElement(SealedName, new XAttribute("id", id), new XAttribute("masterKey", wrapped.MasterKeyId), Convert.ToBase64String(wrapped.Bytes));
    }

    private async Task<byte[]> OpenBytesAsync(XElement element, CancellationToken cancellationToken)
    {
        if (element.Attribute("id")?.Value is not { } id || element.Attribute("masterKey")?.Value is not { } masterKeyId)
            throw new CryptographicException($"This is no <{SealedName}> element of a Data Protection key.");
        return await _masterKey.UnwrapAsync(new WrappedKey(masterKeyId, Convert.FromBase64String(element.Value)), Place(id), cancellationToken);
    }

    /// <summary>What is bound to the sealed bytes, so that no other wrapped key passes for one.</summary>
    private static byte[] Place(string id) => Encoding.UTF8.GetBytes($"aiaspire data protection key {id}");
}
