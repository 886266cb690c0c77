using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

/// <summary>An application under construction in a folder of its own; nothing is started.</summary>
internal sealed class TestApplication : IDisposable
{
    public TestApplication(params string[] args) => Builder = new EmbeddedApplicationBuilder(args, new EmbeddedOptions { Testing = true, DataFolder = Folder });

    public string Folder { get; } = Directory.CreateTempSubdirectory("aiaspire-unit-").FullName;

    public EmbeddedApplicationBuilder Builder { get; }

    public void Dispose()
    {
        Builder.Data.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
