using System.Xml.Linq;
using AiAspire.Core.Encryption;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.DataProtection.KeyManagement;
using Microsoft.AspNetCore.DataProtection.Repositories;
using Microsoft.AspNetCore.DataProtection.XmlEncryption;
using Microsoft.Extensions.Options;

namespace AiAspire.Api.DataProtection;

/// <summary>
/// One ring of Data Protection keys for all replicas. The framework's interfaces are synchronous; they are called when the ring is loaded
/// (at start and once a day) and when a key is made (every 90 days), never per request, so blocking there costs nobody anything.
/// </summary>
public static class SharedKeyRing
{
    private const string ApplicationName = "AiAspire";

    /// <summary>Data Protection over <see cref="DataProtectionKeys"/>; needs the services of <c>AddContentEncryption</c>.</summary>
    public static IServiceCollection AddSharedKeyRing(this IServiceCollection services)
    {
        services.AddDataProtection().SetApplicationName(ApplicationName);
        services.AddOptions<KeyManagementOptions>().Configure<DataProtectionKeys>((options, keys) =>
        {
            options.XmlRepository = new Repository(keys);
            options.XmlEncryptor = new Encryptor(keys);
        });
        return services;
    }

    private sealed class Repository(DataProtectionKeys keys) : IXmlRepository
    {
        public IReadOnlyCollection<XElement> GetAllElements()
            => [.. Wait(keys.ReadAsync(CancellationToken.None)).Select(XElement.Parse)];

        public void StoreElement(XElement element, string friendlyName)
            => keys.AddAsync(friendlyName, element, CancellationToken.None).GetAwaiter().GetResult();
    }

    private sealed class Encryptor(DataProtectionKeys keys) : IXmlEncryptor
    {
        public EncryptedXmlInfo Encrypt(XElement plaintextElement)
            => new(Wait(keys.SealAsync(plaintextElement, CancellationToken.None)), typeof(MasterKeyXmlDecryptor));
    }

    internal static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();
}

/// <summary>Named in the stored XML as what opens it, and made by Data Protection from the host's services.</summary>
/// <param name="services">The host's services.</param>
public sealed class MasterKeyXmlDecryptor(IServiceProvider services) : IXmlDecryptor
{
    public XElement Decrypt(XElement encryptedElement)
        => SharedKeyRing.Wait(services.GetRequiredService<DataProtectionKeys>().OpenAsync(encryptedElement, CancellationToken.None));
}
