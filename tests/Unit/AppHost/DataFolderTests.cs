using Aspire.Hosting;
using Aspire.Hosting.Embedded;

namespace AiAspire.Unit.AppHosting;

public sealed class DataFolderTests
{
    [Fact]
    public void One_AppHost_at_a_time()
    {
        using var first = new TestApplication();
        using var second = new DataFolder(first.Folder);

        var e = Assert.Throws<DistributedApplicationException>(second.Open);
        Assert.Contains("--data DIR", e.Message, StringComparison.Ordinal);

        first.Builder.Data.Dispose();
        second.Open();
    }

    [Fact]
    public void Clearing_leaves_only_the_lock_and_makes_a_new_identity()
    {
        using var application = new TestApplication();
        var before = application.Builder.Data.Id;
        File.WriteAllText(Path.Combine(application.Folder, "run.json"), "{}");

        application.Builder.Data.Clear();

        Assert.False(File.Exists(application.Builder.Data.RunFile));
        Assert.NotEqual(before, application.Builder.Data.Id);
    }
}
