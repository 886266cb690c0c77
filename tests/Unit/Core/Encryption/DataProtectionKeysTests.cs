using System.Xml.Linq;
using AiAspire.Core.Encryption;

namespace AiAspire.Unit.CoreTests.Encryption;

public sealed class DataProtectionKeysTests
{
    /// <summary>As ASP.NET Core Data Protection hands a key to its repository when it has no encryptor: with the secret in the clear, marked.</summary>
    [Theory]
    [InlineData("""<key id="1"><descriptor><masterKey p:requiresEncryption="true" xmlns:p="http://schemas.asp.net/2015/03/dataProtection"><value>c2VjcmV0</value></masterKey></descriptor></key>""")]
    [InlineData("""<masterKey p:requiresEncryption="true" xmlns:p="http://schemas.asp.net/2015/03/dataProtection"><value>c2VjcmV0</value></masterKey>""")]
    public async Task A_key_that_is_not_sealed_is_refused_before_anything_is_written_of_it(string xml)
    {
        // Without a store and an audit log: it does not come to them.
        var keys = new DataProtectionKeys(null!, null!, null!, SampleCalls.Time());

        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => keys.AddAsync("key-1", XElement.Parse(xml), TestContext.Current.CancellationToken));

        Assert.Contains("key-1", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("c2VjcmV0", refused.Message, StringComparison.Ordinal);
    }
}
