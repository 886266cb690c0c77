using AiAspire.Core.Audit;
using AiAspire.Core.Encryption;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AiAspire.Unit.Audit;

/// <summary>What must outlive the process is named in production, and does not lie wherever the process happens to run.</summary>
[Trait("Checklist", "CONV-08")]
public sealed class ProductionPathsTests
{
    [Theory]
    [InlineData(null, null)]
    [InlineData("heads.jsonl", "signing.pem")]
    public void The_audit_files_are_named_by_their_whole_path(string? heads, string? key)
    {
        using var host = Build("Production", ("Audit:HeadsPath", heads), ("Audit:SigningKeyFile", key));
        var refusal = Assert.Throws<OptionsValidationException>(() => host.Services.GetRequiredService<IOptions<AuditOptions>>().Value);
        Assert.Equal(2, refusal.Failures.Count());
        Assert.Contains("Audit:HeadsPath must name a file by its whole path in production", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("Audit:SigningKeyFile must name a file by its whole path in production", refusal.Message, StringComparison.Ordinal);
        using var development = Build("Development", ("Audit:HeadsPath", heads), ("Audit:SigningKeyFile", key));
        Assert.Equal(heads, development.Services.GetRequiredService<IOptions<AuditOptions>>().Value.HeadsPath);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("tombstones.jsonl")]
    [Trait("Checklist", "PRIV-09")]
    public void The_tombstones_are_named_by_their_whole_path(string? path)
    {
        using var host = Build("Production", ("Encryption:TombstonesPath", path));
        var refusal = Assert.Throws<OptionsValidationException>(() => host.Services.GetRequiredService<IOptions<EncryptionOptions>>().Value);
        Assert.Contains("Encryption:TombstonesPath must name a file by its whole path in production", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Named_they_are_taken()
    {
        var folder = Path.GetTempPath();
        using var host = Build(
            "Production", ("Audit:HeadsPath", Path.Combine(folder, "h")), ("Audit:SigningKeyFile", Path.Combine(folder, "k")), ("Encryption:TombstonesPath", Path.Combine(folder, "t")));
        Assert.NotNull(host.Services.GetRequiredService<IOptions<AuditOptions>>().Value.HeadsPath);
        Assert.NotNull(host.Services.GetRequiredService<IOptions<EncryptionOptions>>().Value.TombstonesPath);
    }

    private static IHost Build(string environment, params (string Key, string? Value)[] settings)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { EnvironmentName = environment });
        builder.Configuration.AddInMemoryCollection(settings
            .Append((Key: "Encryption:MasterKey", Value: (string?)Convert.ToBase64String(new byte[32])))
            .Select(s => KeyValuePair.Create(s.Key, s.Value)));
        builder.Services.AddAudit();
        builder.Services.AddContentEncryption();
        return builder.Build();
    }
}
